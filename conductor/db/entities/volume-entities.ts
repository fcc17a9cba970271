import { EntitySchema } from 'typeorm';
import type { VolumeConnectorRow, VolumeTargetRow } from '../rows.ts';
import { id, integer, json, nullable, reference, text, time, type ColumnsOf } from './columns.ts';

export const VolumeConnectorEntity = new EntitySchema<VolumeConnectorRow>({
  name: 'volume_connector',
  tableName: 'volume_connectors',
  columns: { id: id(), uuid: text(), nodeId: reference(), type: text(), connectorId: text(), extra: json(), createdAt: time(), updatedAt: nullable(time()) } satisfies ColumnsOf<VolumeConnectorRow>,
  foreignKeys: [{ name: 'volume_connectors_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'volume_connectors_uuid', columns: ['uuid'], unique: true },
    { name: 'volume_connectors_type_id', columns: ['type', 'connectorId'], unique: true },
    { name: 'volume_connectors_node_id', columns: ['nodeId'] },
  ],
});

export const VolumeTargetEntity = new EntitySchema<VolumeTargetRow>({
  name: 'volume_target',
  tableName: 'volume_targets',
  columns: { id: id(), uuid: text(), nodeId: reference(), volumeType: text(), volumeId: text(), bootIndex: integer(), properties: json(), extra: json(), createdAt: time(), updatedAt: nullable(time()) } satisfies ColumnsOf<VolumeTargetRow>,
  foreignKeys: [{ name: 'volume_targets_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'volume_targets_uuid', columns: ['uuid'], unique: true },
    { name: 'volume_targets_boot_index', columns: ['nodeId', 'bootIndex'], unique: true },
  ],
});
