import { EntitySchema } from 'typeorm';
import type { PortgroupRow } from '../rows.ts';
import { flag, id, json, nullable, reference, text, time, type ColumnsOf } from './columns.ts';

export const PortgroupEntity = new EntitySchema<PortgroupRow>({
  name: 'portgroup',
  tableName: 'portgroups',
  columns: {
    id: id(),
    uuid: text(),
    nodeId: reference(),
    name: nullable(text()),
    address: nullable(text()),
    mode: text(),
    standalonePortsSupported: flag(),
    properties: json(),
    extra: json(),
    internalInfo: json(),
    createdAt: time(),
    updatedAt: nullable(time()),
  } satisfies ColumnsOf<PortgroupRow>,
  foreignKeys: [{ name: 'portgroups_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'portgroups_uuid', columns: ['uuid'], unique: true },
    { name: 'portgroups_name', columns: ['name'], unique: true },
    { name: 'portgroups_address', columns: ['address'], unique: true },
    { name: 'portgroups_node_id', columns: ['nodeId'] },
  ],
});
