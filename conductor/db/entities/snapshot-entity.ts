import { EntitySchema } from 'typeorm';
import type { SnapshotDiskRow, SnapshotRow } from '../rows.ts';
import { bytes, id, integer, json, nullable, reference, text, time, type ColumnsOf } from './columns.ts';

/** A snapshot as its table has it; the store adds the disks. */
export type StoredSnapshot = Omit<SnapshotRow, 'disks'>;

export const SnapshotEntity = new EntitySchema<StoredSnapshot>({
  name: 'snapshot',
  tableName: 'snapshots',
  columns: {
    id: id(),
    uuid: text(),
    nodeId: reference(),
    phase: text(),
    status: text(),
    requestedBy: text(),
    error: nullable(text()),
    credentialHash: nullable(text()),
    commandId: nullable(text()),
    captureDeadlineAt: nullable(time()),
    step: nullable(text()),
    bytesDone: nullable(bytes()),
    bytesTotal: nullable(bytes()),
    progressAt: nullable(time()),
    phaseStartedAt: time(),
    startedAt: time(),
    finishedAt: nullable(time()),
    poweredOffAt: nullable(time()),
    poweredOnAt: nullable(time()),
    options: { ...json(), default: '{}' }, // rows of before the column was there
    prediction: nullable(json()),
  } satisfies ColumnsOf<StoredSnapshot>,
  foreignKeys: [{ name: 'snapshots_node', target: 'node', columnNames: ['nodeId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'snapshots_uuid', columns: ['uuid'], unique: true },
    { name: 'snapshots_node_id', columns: ['nodeId'] },
    { name: 'snapshots_status_phase', columns: ['status', 'phase'] },
    { name: 'snapshots_credential_hash', columns: ['credentialHash'], unique: true },
  ],
});

export const SnapshotDiskEntity = new EntitySchema<SnapshotDiskRow>({
  name: 'snapshot_disk',
  tableName: 'snapshot_disks',
  columns: {
    id: id(),
    snapshotId: reference(),
    position: integer(),
    imageRef: text(),
    heldImageRef: nullable(text()),
    imageName: text(),
    formatsSet: json(),
    sizeBytes: nullable(bytes()),
    virtualSizeBytes: nullable(bytes()),
    proof: nullable(json()),
    osHashAlgo: nullable(text()),
    osHashValue: nullable(text()),
    device: nullable(json()),
    report: nullable(json()),
    receivedBy: nullable(text()),
  } satisfies ColumnsOf<SnapshotDiskRow>,
  foreignKeys: [{ name: 'snapshot_disks_snapshot', target: 'snapshot', columnNames: ['snapshotId'], referencedColumnNames: ['id'], onDelete: 'CASCADE' }],
  indices: [
    { name: 'snapshot_disks_position', columns: ['snapshotId', 'position'], unique: true },
    // NULLs differ from each other in a unique index: one unfinished snapshot a holder, any number of finished ones
    { name: 'snapshot_disks_held_image_ref', columns: ['heldImageRef'], unique: true },
  ],
});
