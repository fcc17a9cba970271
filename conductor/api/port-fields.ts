import type { Json, JsonObject } from '../../protocol/json.ts';
import type { PortRow } from '../db/rows.ts';
import type { VersionedField } from './field-selection.ts';
import { linksTo } from './links.ts';
import { formatTimeOrNull } from './timestamps.ts';
import { flag, nothing, nullable, object, text, time, uuid } from './value-schemas.ts';

/** UUIDs of what a port belongs to. */
export interface PortSurroundings {
  nodeUuid: string;
  portgroupUuid: string | null;
}

export interface PortField extends VersionedField {
  show(port: PortRow, around: PortSurroundings): Json;
}

/** Every field of a port, with Ironic's numbers of the version it appeared in. */
export const PORT_FIELDS: readonly PortField[] = [
  { name: 'uuid', since: 1, schema: uuid, show: (port) => port.uuid },
  { name: 'created_at', since: 1, schema: time, show: (port) => formatTimeOrNull(port.createdAt) },
  { name: 'updated_at', since: 1, schema: nullable(time), show: (port) => formatTimeOrNull(port.updatedAt) },
  { name: 'address', since: 1, schema: text, show: (port) => port.address },
  { name: 'extra', since: 1, schema: object, show: (port) => port.extra },
  { name: 'internal_info', since: 18, schema: object, show: (port) => port.internalInfo },
  { name: 'is_smartnic', since: 53, schema: flag, show: (port) => port.isSmartnic },
  { name: 'local_link_connection', since: 19, schema: object, show: (port) => port.localLinkConnection },
  { name: 'name', since: 88, schema: nullable(text), show: (port) => port.name },
  { name: 'physical_network', since: 34, schema: nullable(text), show: (port) => port.physicalNetwork },
  { name: 'pxe_enabled', since: 19, schema: flag, show: (port) => port.pxeEnabled },
  { name: 'node_uuid', since: 1, schema: uuid, show: (_port, { nodeUuid }) => nodeUuid },
  { name: 'portgroup_uuid', since: 24, schema: nullable(uuid), show: (_port, { portgroupUuid }) => portgroupUuid },
  { name: 'description', since: 97, schema: nothing, show: () => null },
  { name: 'vendor', since: 100, schema: nothing, show: () => null },
  { name: 'category', since: 101, schema: nothing, show: () => null },
  { name: 'available_for_dynamic_portgroup', since: 111, schema: flag, show: () => true },
];

export const PORT_DEFAULT_FIELDS = ['uuid', 'address'];
export const PORT_SORT_KEYS: Readonly<Record<string, keyof PortRow>> = { id: 'id', uuid: 'uuid', address: 'address', created_at: 'createdAt', updated_at: 'updatedAt', name: 'name', physical_network: 'physicalNetwork', pxe_enabled: 'pxeEnabled', is_smartnic: 'isSmartnic' };

export function representPort(port: PortRow, around: PortSurroundings, fields: readonly PortField[], baseUrl: string): JsonObject {
  return { ...Object.fromEntries(fields.map((field) => [field.name, field.show(port, around)])), links: linksTo(baseUrl, `ports/${port.uuid}`).map((link) => ({ ...link })) };
}
