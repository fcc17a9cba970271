import { EntitySchema } from 'typeorm';
import type { OperationRow } from '../rows.ts';
import { bytes, flag, id, json, nullable, reference, text, time, type ColumnsOf } from './columns.ts';

export const OperationEntity = new EntitySchema<OperationRow>({
  name: 'operation',
  tableName: 'operations',
  columns: {
    id: id(),
    uuid: text(),
    nodeId: reference(),
    kind: text(),
    phase: text(),
    status: text(),
    requestedBy: text(),
    error: nullable(text()),
    image: nullable(json()),
    generalize: nullable(json()),
    credentialHash: nullable(text()),
    commandId: nullable(text()),
    deadlineAt: nullable(time()),
    step: nullable(text()),
    bytesDone: nullable(bytes()),
    bytesTotal: nullable(bytes()),
    progressAt: nullable(time()),
    diskTouched: flag(),
    device: nullable(json()),
    report: nullable(json()),
    phaseStartedAt: time(),
    startedAt: time(),
    finishedAt: nullable(time()),
  } satisfies ColumnsOf<OperationRow>,
  foreignKeys: [{ name: 'operations_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'operations_uuid', columns: ['uuid'], unique: true },
    { name: 'operations_node_id', columns: ['nodeId'] },
    { name: 'operations_status', columns: ['status'] },
    { name: 'operations_credential_hash', columns: ['credentialHash'], unique: true },
  ],
});
