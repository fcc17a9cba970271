import type { CapturePrediction, CaptureReport } from '../../protocol/capture.ts';
import type { SnapshotView } from '../../protocol/provision.ts';
import type { BootBack, SnapshotRow } from '../db/rows.ts';
import { formatTime, formatTimeOrNull } from './timestamps.ts';

/** The latest snapshot of a node as people see it. The root disk speaks for the snapshot. */
export function viewSnapshot(snapshot: SnapshotRow, bootBack: BootBack | null): SnapshotView {
  const [root] = snapshot.disks;
  return {
    uuid: snapshot.uuid,
    image_ref: root?.imageRef ?? '',
    phase: snapshot.phase,
    status: snapshot.status,
    requested_by: snapshot.requestedBy,
    started_at: formatTime(snapshot.startedAt),
    finished_at: formatTimeOrNull(snapshot.finishedAt),
    error: snapshot.error,
    step: snapshot.step,
    bytes_done: snapshot.bytesDone,
    bytes_total: snapshot.bytesTotal,
    size_bytes: root?.sizeBytes ?? null,
    os_hash_algo: root?.osHashAlgo ?? null,
    os_hash_value: root?.osHashValue ?? null,
    duration_s: secondsBetween(snapshot.startedAt, snapshot.finishedAt),
    downtime_s: secondsBetween(snapshot.poweredOffAt, snapshot.poweredOnAt),
    boot_back: bootBack,
    options: snapshot.options,
    prediction: snapshot.prediction as CapturePrediction | null,
    report: (root?.report ?? null) as CaptureReport | null,
  };
}

const secondsBetween = (from: Date | null, to: Date | null): number | null => (from && to ? (to.getTime() - from.getTime()) / 1_000 : null);
