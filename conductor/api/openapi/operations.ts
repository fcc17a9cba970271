import type { z } from 'zod';
import { heartbeatBodySchema } from '../../../protocol/agent-api.ts';
import { provisionRequestSchema } from '../../../protocol/provision.ts';
import { jsonPatchSchema } from '../json-patch.ts';
import { CREATE_SCHEMA } from '../node-document.ts';
import { newPortSchema } from '../port-document.ts';
import { PORTGROUPS } from '../portgroup-resource.ts';
import { commaList } from '../request-documents.ts';
import { conductorListQuery } from '../routes/conductors.ts';
import { driverListQuery } from '../routes/drivers.ts';
import { bootDeviceSchema, maintenanceSchema } from '../routes/node-care.ts';
import { historyListQuery } from '../routes/node-history.ts';
import { powerRequestSchema } from '../routes/node-states.ts';
import { traitsSchema } from '../routes/node-traits.ts';
import { bootModeSchema, noArguments, raidSchema, secureBootSchema } from '../routes/node-unsupported.ts';
import { vifSchema } from '../routes/node-vifs.ts';
import { nodeListQuery, nodePatchQuery } from '../routes/nodes.ts';
import { portFilterQuery, portListQuery } from '../routes/ports.ts';
import { lookupQuery } from '../routes/ramdisk.ts';
import { portgroupFilterQuery, recordListQuery, volumeFilterQuery } from '../routes/record-routes.ts';
import { arrayOf, object, text, type ValueSchema } from '../value-schemas.ts';
import { VOLUME_CONNECTORS, VOLUME_TARGETS } from '../volume-resources.ts';
import { listOf, ref } from './schemas.ts';

export interface OperationDescription {
  summary: string;
  query?: z.ZodRawShape;
  body?: z.ZodType;
  status: 200 | 201 | 202 | 204 | 400;
  /** Of the reply's body; absent: it is empty. */
  reply?: ValueSchema;
  /** Other replies that say that it went well, by status. */
  also?: Readonly<Record<number, ValueSchema>>;
}

const fields = { fields: commaList.optional() };
const get = (summary: string, reply: ValueSchema, query?: z.ZodRawShape): OperationDescription => ({ summary, status: 200, reply, ...(query ? { query } : {}) });
const create = (what: string, body: z.ZodType, reply: ValueSchema): OperationDescription => ({ summary: `Create a ${what}`, status: 201, body, reply });
const patch = (what: string, reply: ValueSchema, query?: z.ZodRawShape): OperationDescription => ({ summary: `Change a ${what} (RFC 6902, without test, move and copy)`, status: 200, body: jsonPatchSchema, reply, ...(query ? { query } : {}) });
const accept = (summary: string, body?: z.ZodType): OperationDescription => ({ summary, status: 202, ...(body ? { body } : {}) });
const empty = (summary: string, body?: z.ZodType): OperationDescription => ({ summary, status: 204, ...(body ? { body } : {}) });
const unsupported = (summary: string, body?: z.ZodType): OperationDescription => ({ summary: `${summary}: offered by no driver here, always refused`, status: 400, reply: ref('Error'), ...(body ? { body } : {}) });
const members = (properties: Readonly<Record<string, ValueSchema>>): ValueSchema => ({ type: 'object', properties: { ...properties }, required: Object.keys(properties), additionalProperties: false });

/** What there is to say of each method of each path; the paths themselves, and since when, come from the router. */
export const OPERATIONS: Readonly<Record<string, OperationDescription>> = {
  'GET /': get('The versions of the API', object),
  'GET /v1': get('The resources of the API at the version asked for', object),
  'GET /v1/openapi.json': get('This description', object),

  'GET /v1/nodes': get('List nodes', listOf('nodes', 'Node'), nodeListQuery),
  'POST /v1/nodes': create('node', CREATE_SCHEMA, ref('Node')),
  'GET /v1/nodes/detail': get('List nodes with every field', listOf('nodes', 'Node'), nodeListQuery),
  'GET /v1/nodes/{ident}': get('Show a node', ref('Node'), fields),
  'PATCH /v1/nodes/{ident}': patch('node', ref('Node'), nodePatchQuery),
  'DELETE /v1/nodes/{ident}': empty('Delete a node'),
  'GET /v1/nodes/{ident}/states': get('Show the states of a node', ref('NodeStates')),
  'PUT /v1/nodes/{ident}/states/provision': {
    ...accept('Change the provision state: deploy, rebuild, undeploy, manage, provide, clean, adopt, abort, snapshot', provisionRequestSchema),
    also: { 200: { oneOf: [members({ plan: ref('Plan') }), members({ checks: ref('Checks') })], description: 'With dry_run: what the request would do, or whether it would be taken; nothing is touched' } },
  },
  'PUT /v1/nodes/{ident}/states/power': accept('Change the power state', powerRequestSchema),
  'PUT /v1/nodes/{ident}/states/boot_mode': unsupported('Set the boot mode', bootModeSchema),
  'PUT /v1/nodes/{ident}/states/secure_boot': unsupported('Set secure boot', secureBootSchema),
  'PUT /v1/nodes/{ident}/states/raid': unsupported('Set the RAID configuration', raidSchema),
  'PUT /v1/nodes/{ident}/maintenance': accept('Put a node into maintenance', maintenanceSchema),
  'DELETE /v1/nodes/{ident}/maintenance': accept('Take a node out of maintenance'),
  'GET /v1/nodes/{ident}/validate': get('Whether each interface of a node could work', ref('Checks')),
  'GET /v1/nodes/{ident}/management/boot_device': get('Show the boot device', members({ boot_device: { type: ['string', 'null'] }, persistent: { type: ['boolean', 'null'] } })),
  'PUT /v1/nodes/{ident}/management/boot_device': empty('Set the boot device', bootDeviceSchema),
  'GET /v1/nodes/{ident}/management/boot_device/supported': get('The boot devices that can be set', members({ supported_boot_devices: arrayOf(text) })),
  'PUT /v1/nodes/{ident}/management/inject_nmi': unsupported('Inject a non-maskable interrupt', noArguments),
  'GET /v1/nodes/{ident}/management/indicators': unsupported('List indicators'),
  'GET /v1/nodes/{ident}/history': get('List what happened to a node', listOf('history', 'HistoryEvent'), historyListQuery),
  'GET /v1/nodes/{ident}/history/detail': get('List what happened to a node, with every field', listOf('history', 'HistoryEvent'), historyListQuery),
  'GET /v1/nodes/{ident}/history/{event}': get('Show one event', ref('HistoryEvent')),
  'GET /v1/nodes/{ident}/traits': get('List traits', members({ traits: arrayOf(text) })),
  'PUT /v1/nodes/{ident}/traits': empty('Replace all traits', traitsSchema),
  'DELETE /v1/nodes/{ident}/traits': empty('Remove all traits'),
  'PUT /v1/nodes/{ident}/traits/{trait}': empty('Add a trait'),
  'DELETE /v1/nodes/{ident}/traits/{trait}': empty('Remove a trait'),
  'GET /v1/nodes/{ident}/vifs': get('List attached VIFs', members({ vifs: arrayOf(object) })),
  'POST /v1/nodes/{ident}/vifs': empty('Attach a VIF (network interface noop: nothing is done)', vifSchema),
  'DELETE /v1/nodes/{ident}/vifs/{vif}': empty('Detach a VIF (network interface noop: nothing is done)'),
  'GET /v1/nodes/{ident}/inventory': get('What the ramdisk last found in the machine', members({ inventory: object, plugin_data: object })),

  'GET /v1/nodes/{ident}/ports': get('List the ports of a node', listOf('ports', 'Port'), portListQuery),
  'GET /v1/nodes/{ident}/ports/detail': get('List the ports of a node with every field', listOf('ports', 'Port'), portListQuery),
  'GET /v1/portgroups/{ident}/ports': get('List the ports of a port group', listOf('ports', 'Port'), portListQuery),
  'GET /v1/portgroups/{ident}/ports/detail': get('List the ports of a port group with every field', listOf('ports', 'Port'), portListQuery),
  'GET /v1/ports': get('List ports', listOf('ports', 'Port'), portFilterQuery),
  'POST /v1/ports': create('port', newPortSchema, ref('Port')),
  'GET /v1/ports/detail': get('List ports with every field', listOf('ports', 'Port'), portFilterQuery),
  'GET /v1/ports/{ident}': get('Show a port', ref('Port'), fields),
  'PATCH /v1/ports/{ident}': patch('port', ref('Port')),
  'DELETE /v1/ports/{ident}': empty('Delete a port'),

  'GET /v1/portgroups': get('List port groups', listOf('portgroups', 'Portgroup'), portgroupFilterQuery),
  'POST /v1/portgroups': create('port group', PORTGROUPS.document, ref('Portgroup')),
  'GET /v1/portgroups/detail': get('List port groups with every field', listOf('portgroups', 'Portgroup'), portgroupFilterQuery),
  'GET /v1/portgroups/{ident}': get('Show a port group', ref('Portgroup'), fields),
  'PATCH /v1/portgroups/{ident}': patch('port group', ref('Portgroup')),
  'DELETE /v1/portgroups/{ident}': empty('Delete a port group that has no ports'),
  'GET /v1/nodes/{ident}/portgroups': get('List the port groups of a node', listOf('portgroups', 'Portgroup'), recordListQuery),
  'GET /v1/nodes/{ident}/portgroups/detail': get('List the port groups of a node with every field', listOf('portgroups', 'Portgroup'), recordListQuery),

  'GET /v1/volume': get('Where volume connectors and targets are', ref('VolumeLinks')),
  'GET /v1/nodes/{ident}/volume': get('Where the volume connectors and targets of a node are', ref('VolumeLinks')),
  'GET /v1/volume/connectors': get('List volume connectors', listOf('connectors', 'VolumeConnector'), volumeFilterQuery),
  'POST /v1/volume/connectors': create('volume connector', VOLUME_CONNECTORS.document, ref('VolumeConnector')),
  'GET /v1/volume/connectors/{ident}': get('Show a volume connector', ref('VolumeConnector'), fields),
  'PATCH /v1/volume/connectors/{ident}': patch('volume connector of a node that is off', ref('VolumeConnector')),
  'DELETE /v1/volume/connectors/{ident}': empty('Delete a volume connector of a node that is off'),
  'GET /v1/nodes/{ident}/volume/connectors': get('List the volume connectors of a node', listOf('connectors', 'VolumeConnector'), recordListQuery),
  'GET /v1/volume/targets': get('List volume targets', listOf('targets', 'VolumeTarget'), volumeFilterQuery),
  'POST /v1/volume/targets': create('volume target', VOLUME_TARGETS.document, ref('VolumeTarget')),
  'GET /v1/volume/targets/{ident}': get('Show a volume target', ref('VolumeTarget'), fields),
  'PATCH /v1/volume/targets/{ident}': patch('volume target of a node that is off', ref('VolumeTarget')),
  'DELETE /v1/volume/targets/{ident}': empty('Delete a volume target of a node that is off'),
  'GET /v1/nodes/{ident}/volume/targets': get('List the volume targets of a node', listOf('targets', 'VolumeTarget'), recordListQuery),

  'GET /v1/drivers': get('List hardware types', listOf('drivers', 'Driver'), driverListQuery),
  'GET /v1/drivers/{name}': get('Show a hardware type', ref('Driver'), fields),
  'GET /v1/drivers/{name}/properties': get('What driver_info may hold, by name', { type: 'object', additionalProperties: text }),
  'GET /v1/conductors': get('List conductors', listOf('conductors', 'Conductor'), conductorListQuery),
  'GET /v1/conductors/{hostname}': get('Show a conductor', ref('Conductor'), fields),

  'GET /v1/lookup': get('For ramdisks: find the node of this machine', members({ node: ref('Node'), config: object }), lookupQuery),
  'POST /v1/heartbeat/{ident}': accept('For ramdisks: I am alive', heartbeatBodySchema),
};
