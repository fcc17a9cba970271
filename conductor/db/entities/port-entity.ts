import { EntitySchema } from 'typeorm';
import type { PortRow } from '../rows.ts';
import { flag, id, json, nullable, reference, text, time, type ColumnsOf } from './columns.ts';

export const PortEntity = new EntitySchema<PortRow>({
  name: 'port',
  tableName: 'ports',
  columns: {
    id: id(),
    uuid: text(),
    nodeId: reference(),
    address: text(),
    name: nullable(text()),
    pxeEnabled: flag(),
    isSmartnic: flag(),
    physicalNetwork: nullable(text()),
    localLinkConnection: json(),
    extra: json(),
    internalInfo: json(),
    portgroupId: nullable(reference()),
    createdAt: time(),
    updatedAt: nullable(time()),
  } satisfies ColumnsOf<PortRow>,
  foreignKeys: [
    { name: 'ports_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' },
    { name: 'ports_portgroup', target: 'portgroup', columnNames: ['portgroupId'], referencedColumnNames: ['id'], onDelete: 'SET NULL' },
  ],
  indices: [
    { name: 'ports_uuid', columns: ['uuid'], unique: true },
    { name: 'ports_address', columns: ['address'], unique: true },
    { name: 'ports_name', columns: ['name'], unique: true },
    { name: 'ports_node_id', columns: ['nodeId'] },
    { name: 'ports_portgroup_id', columns: ['portgroupId'] },
  ],
});
