import { EntitySchema } from 'typeorm';
import { id, reference, text, type ColumnsOf } from './columns.ts';

export interface TraitRow {
  id: number;
  nodeId: number;
  trait: string;
}

export const TraitEntity = new EntitySchema<TraitRow>({
  name: 'trait',
  tableName: 'node_traits',
  columns: { id: id(), nodeId: reference(), trait: text() } satisfies ColumnsOf<TraitRow>,
  foreignKeys: [{ name: 'node_traits_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [{ name: 'node_traits_trait', columns: ['nodeId', 'trait'], unique: true }],
});
