import { EntitySchema } from 'typeorm';
import type { InventoryRow } from '../rows.ts';
import { id, json, reference, time, type ColumnsOf } from './columns.ts';

export const InventoryEntity = new EntitySchema<InventoryRow>({
  name: 'node_inventory',
  tableName: 'node_inventories',
  columns: { id: id(), nodeId: reference(), inventory: json(), createdAt: time() } satisfies ColumnsOf<InventoryRow>,
  foreignKeys: [{ name: 'node_inventories_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [{ name: 'node_inventories_node_id', columns: ['nodeId'], unique: true }],
});
