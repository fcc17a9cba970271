import type { Json, JsonObject } from '../../protocol/json.ts';
import type { PortRow } from '../db/rows.ts';
import type { VersionedField } from './field-selection.ts';
import { linksTo } from './links.ts';
import { formatTimeOrNull } from './timestamps.ts';

export interface PortField extends VersionedField {
  show(port: PortRow, nodeUuid: string): Json;
}

/** Every field of a port, with Ironic's numbers of the version it appeared in. */
export const PORT_FIELDS: readonly PortField[] = [
  { name: 'uuid', since: 1, show: (port) => port.uuid },
  { name: 'created_at', since: 1, show: (port) => formatTimeOrNull(port.createdAt) },
  { name: 'updated_at', since: 1, show: (port) => formatTimeOrNull(port.updatedAt) },
  { name: 'address', since: 1, show: (port) => port.address },
  { name: 'extra', since: 1, show: (port) => port.extra },
  { name: 'internal_info', since: 18, show: (port) => port.internalInfo },
  { name: 'is_smartnic', since: 53, show: (port) => port.isSmartnic },
  { name: 'local_link_connection', since: 19, show: (port) => port.localLinkConnection },
  { name: 'name', since: 88, show: (port) => port.name },
  { name: 'physical_network', since: 34, show: (port) => port.physicalNetwork },
  { name: 'pxe_enabled', since: 19, show: (port) => port.pxeEnabled },
  { name: 'node_uuid', since: 1, show: (_port, nodeUuid) => nodeUuid },
  { name: 'portgroup_uuid', since: 24, show: () => null },
  { name: 'description', since: 97, show: () => null },
  { name: 'vendor', since: 100, show: () => null },
  { name: 'category', since: 101, show: () => null },
  { name: 'available_for_dynamic_portgroup', since: 111, show: () => true },
];

export const PORT_DEFAULT_FIELDS = ['uuid', 'address'];
export const PORT_SORT_KEYS: Readonly<Record<string, keyof PortRow>> = { id: 'id', uuid: 'uuid', address: 'address', created_at: 'createdAt', updated_at: 'updatedAt', name: 'name', physical_network: 'physicalNetwork', pxe_enabled: 'pxeEnabled' };

export function representPort(port: PortRow, nodeUuid: string, fields: readonly PortField[], baseUrl: string): JsonObject {
  return { ...Object.fromEntries(fields.map((field) => [field.name, field.show(port, nodeUuid)])), links: linksTo(baseUrl, `ports/${port.uuid}`).map((link) => ({ ...link })) };
}
