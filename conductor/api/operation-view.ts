import type { OperationView } from '../../protocol/provision.ts';
import type { OperationRow } from '../db/rows.ts';
import { maskAddress } from './secrets.ts';
import { formatTime, formatTimeOrNull } from './timestamps.ts';

/** The latest deployment, rebuild or cleaning of a node as people see it. */
export function viewOperation(operation: OperationRow): OperationView {
  const source = operation.image?.['source'];
  return {
    uuid: operation.uuid,
    kind: operation.kind,
    phase: operation.phase,
    status: operation.status,
    requested_by: operation.requestedBy,
    started_at: formatTime(operation.startedAt),
    finished_at: formatTimeOrNull(operation.finishedAt),
    error: operation.error,
    image_source: typeof source === 'string' ? maskAddress(source) : null,
    step: operation.step,
    bytes_done: operation.bytesDone,
    bytes_total: operation.bytesTotal,
    disk: operation.device,
    disk_touched: operation.diskTouched,
    report: operation.report,
    duration_s: operation.finishedAt === null ? null : (operation.finishedAt.getTime() - operation.startedAt.getTime()) / 1_000,
  };
}
