import { EntitySchema } from 'typeorm';
import type { HistoryRow } from '../rows.ts';
import { id, reference, text, time, type ColumnsOf } from './columns.ts';

export const HistoryEntity = new EntitySchema<HistoryRow>({
  name: 'history',
  tableName: 'node_history',
  columns: {
    id: id(),
    uuid: text(),
    nodeId: reference(),
    createdAt: time(),
    conductor: text(),
    user: text(),
    eventType: text(),
    severity: text(),
    event: text(),
  } satisfies ColumnsOf<HistoryRow>,
  foreignKeys: [{ name: 'node_history_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'node_history_uuid', columns: ['uuid'], unique: true },
    { name: 'node_history_node_id', columns: ['nodeId'] },
  ],
});
