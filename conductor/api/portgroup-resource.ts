import { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { PortgroupRow } from '../db/rows.ts';
import type { RecordField, RecordResource } from './record-resource.ts';
import { booleanLike, jsonObject, logicalName, macAddress, uuidLike } from './request-documents.ts';
import { formatTime, formatTimeOrNull } from './timestamps.ts';
import { flag, nullable, object, text, time, uuid } from './value-schemas.ts';

export const PORTGROUPS_MICROVERSION = 23;
/** Since when port groups stand below nodes, and ports name theirs. */
export const PORTGROUP_OF_PORT_MICROVERSION = 24;
const MODE_MICROVERSION = 26;
const DETAIL_MICROVERSION = 43;
/** Of Ironic's default_portgroup_mode. */
const DEFAULT_MODE = 'active-backup';

const portgroupDocument = z.strictObject({
  uuid: uuidLike.nullish(),
  node_uuid: uuidLike,
  name: logicalName(['detail']).nullish(),
  address: macAddress.nullish(),
  mode: z.string().min(1).max(255).nullish(),
  standalone_ports_supported: booleanLike.nullish(),
  properties: jsonObject.nullish(),
  extra: jsonObject.nullish(),
});

const since = PORTGROUPS_MICROVERSION;
const FIELDS: readonly RecordField<PortgroupRow>[] = [
  { name: 'uuid', since, schema: uuid, show: (group) => group.uuid, sortKey: 'uuid' },
  { name: 'created_at', since, schema: time, show: (group) => formatTime(group.createdAt), sortKey: 'createdAt' },
  { name: 'updated_at', since, schema: nullable(time), show: (group) => formatTimeOrNull(group.updatedAt), sortKey: 'updatedAt' },
  { name: 'address', since, schema: nullable(text), show: (group) => group.address, sortKey: 'address' },
  { name: 'extra', since, schema: object, show: (group) => group.extra },
  { name: 'internal_info', since, schema: object, show: (group) => group.internalInfo },
  { name: 'mode', since: MODE_MICROVERSION, shownSince: since, schema: text, show: (group) => group.mode, sortKey: 'mode' },
  { name: 'name', since, schema: nullable(text), show: (group) => group.name, sortKey: 'name' },
  { name: 'properties', since: MODE_MICROVERSION, shownSince: since, schema: object, show: (group) => group.properties },
  { name: 'standalone_ports_supported', since, schema: flag, show: (group) => group.standalonePortsSupported, sortKey: 'standalonePortsSupported' },
  { name: 'node_uuid', since, schema: uuid, show: (_group, nodeUuid) => nodeUuid },
];

/** `/v1/portgroups`: bonds of ports, as records. */
export const PORTGROUPS: RecordResource<PortgroupRow, z.output<typeof portgroupDocument>> = {
  path: 'portgroups',
  collection: 'portgroups',
  noun: 'Portgroup',
  since,
  sinceBelowNode: PORTGROUP_OF_PORT_MICROVERSION,
  detailSince: DETAIL_MICROVERSION,
  named: true,
  fields: FIELDS,
  defaultFields: ['uuid', 'address', 'name'],
  parts: ['ports'],
  document: portgroupDocument,
  patched: portgroupDocument.extend({ mode: z.string({ error: "'mode' is a mandatory attribute and can not be removed" }).min(1).max(255) }),
  patchable: ['address', 'extra', 'mode', 'name', 'node_uuid', 'properties', 'standalone_ports_supported'],
  store: (db) => db.portgroups,
  documentOf: (group, nodeUuid) => ({
    node_uuid: nodeUuid,
    name: group.name,
    address: group.address,
    mode: group.mode,
    standalone_ports_supported: group.standalonePortsSupported,
    properties: group.properties,
    extra: group.extra,
  }),
  columnsOf: (document) => ({
    name: document.name ?? null,
    address: document.address ?? null,
    mode: document.mode ?? DEFAULT_MODE,
    standalonePortsSupported: document.standalone_ports_supported ?? true,
    properties: document.properties ?? {},
    extra: document.extra ?? {},
  }),
  initial: { internalInfo: {} },
  // 400 as Ironic's PortgroupNotEmpty: the ports do not go by themselves, so that repeating it cannot help
  async refuse(action, _node, group, { db }) {
    if (action === 'deletion' && (await db.ports.list({ portgroupId: group.id, limit: 1 })).length > 0) {
      throw new InvalidParameterError(`Cannot complete the requested action because portgroup ${group.uuid} contains ports.`);
    }
  },
};
