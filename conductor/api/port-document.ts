import { z } from 'zod';
import type { JsonObject } from '../../protocol/json.ts';
import type { PortPatch } from '../db/port-store.ts';
import type { PortRow } from '../db/rows.ts';
import type { PortSurroundings } from './port-fields.ts';
import { booleanLike, check, jsonObject, logicalName, macAddress, uuidLike } from './request-documents.ts';

const absent = (what: string): z.ZodType => z.null({ error: `this service has no ${what}` }).optional();

const writable = {
  address: macAddress,
  extra: jsonObject.nullish(),
  is_smartnic: booleanLike.nullish(),
  local_link_connection: jsonObject.nullish(),
  name: logicalName(['detail']).nullish(),
  physical_network: z.string().max(64).nullish(),
  pxe_enabled: booleanLike.nullish(),
  portgroup_uuid: uuidLike.nullish(),
  description: absent('port descriptions'),
  vendor: absent('port vendors'),
  category: absent('port categories'),
  available_for_dynamic_portgroup: z.literal(true, { error: 'this service knows only true' }).optional(),
};
export const newPortSchema = z.strictObject({ ...writable, uuid: uuidLike.nullish(), node_uuid: uuidLike.optional(), node_ident: z.string().optional() });
const portSchema = z.strictObject({ ...writable, node_uuid: z.string() });

export type NewPortDocument = z.output<typeof newPortSchema>;

/** @throws InvalidParameterError for unknown fields, wrong types and a bad MAC address. */
export const checkNewPort = (document: unknown): NewPortDocument => check(newPortSchema, document, 'port');

/** Fields that a PATCH may name. */
export const PORT_PATCHABLE = ['address', 'extra', 'is_smartnic', 'local_link_connection', 'name', 'node_uuid', 'physical_network', 'portgroup_uuid', 'pxe_enabled'];

/** Fields that say how the server is wired. */
export const PORT_WIRING = ['local_link_connection', 'pxe_enabled', 'is_smartnic', 'physical_network', 'portgroup_uuid'];

export const portDocumentOf = (port: PortRow, { nodeUuid, portgroupUuid }: PortSurroundings): JsonObject => ({
  address: port.address,
  extra: port.extra,
  is_smartnic: port.isSmartnic,
  local_link_connection: port.localLinkConnection,
  name: port.name,
  node_uuid: nodeUuid,
  physical_network: port.physicalNetwork,
  portgroup_uuid: portgroupUuid,
  pxe_enabled: port.pxeEnabled,
});

/** The columns of a checked document; what it leaves out is as in a new port. Its port group has to be looked up. */
export function portColumnsOf(document: Omit<NewPortDocument, 'uuid' | 'node_uuid' | 'node_ident'>): PortPatch & Pick<PortRow, 'address'> {
  return {
    address: document.address,
    extra: document.extra ?? {},
    isSmartnic: document.is_smartnic ?? false,
    localLinkConnection: document.local_link_connection ?? {},
    name: document.name ?? null,
    physicalNetwork: document.physical_network ?? null,
    pxeEnabled: document.pxe_enabled ?? true,
  };
}

export const checkPatchedPort = (document: unknown): z.output<typeof portSchema> => check(portSchema, document, 'port');
