import type { JsonObject } from '../protocol/json.ts';
import type { SnapshotView } from '../protocol/provision.ts';
import { isObject } from './api-error.ts';
import { formatBytes, formatDuration } from './quantities.ts';

/** The latest snapshot of a node as its API shows it; undefined when it never had one. */
export function snapshotViewOf(node: JsonObject): SnapshotView | undefined {
  const view = isObject(node.driver_internal_info) ? node.driver_internal_info.snapshot : undefined;
  return isObject(view) && typeof view.phase === 'string' && typeof view.status === 'string' ? (view as unknown as SnapshotView) : undefined;
}

export const stateOf = (node: JsonObject | undefined): string => (typeof node?.provision_state === 'string' ? node.provision_state : 'unknown');

/** The phase with what the agent does in it: `streaming: converting`. */
export const describePhase = (view: SnapshotView): string => (view.phase === 'streaming' && view.step ? `${view.phase}: ${view.step}` : view.phase);

/** Bytes done and in all, where the phase moves any: elsewhere the numbers stand for an earlier phase. */
export function bytesOf(view: SnapshotView): { done: number; total: number } | undefined {
  if (view.phase !== 'streaming' && view.phase !== 'upload') return undefined;
  if (typeof view.bytes_done !== 'number' || typeof view.bytes_total !== 'number' || view.bytes_total <= 0) return undefined;
  return { done: Math.min(view.bytes_done, view.bytes_total), total: view.bytes_total };
}

/** One line for a person: how far it is, or how it ended. */
export function describeSnapshot(view: SnapshotView): string {
  if (view.status === 'failed') return `failed in phase "${view.phase}": ${view.error ?? 'no reason recorded'}${describeBootBack(view)}`;
  if (view.status === 'done') {
    const facts = [
      typeof view.size_bytes === 'number' ? formatBytes(view.size_bytes) : undefined,
      typeof view.duration_s === 'number' ? `took ${formatDuration(view.duration_s)}` : undefined,
      typeof view.downtime_s === 'number' ? `server down for ${formatDuration(view.downtime_s)}` : undefined,
    ].filter((fact) => fact !== undefined);
    return [`done: image ${view.image_ref}`, ...facts].join(', ');
  }
  const bytes = bytesOf(view);
  return bytes ? `${describePhase(view)}, ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)} (${percent(bytes)} %)` : describePhase(view);
}

export const percent = ({ done, total }: { done: number; total: number }): number => Math.floor((100 * done) / total);

function describeBootBack(view: SnapshotView): string {
  if (view.boot_back === 'done') return '; the server was booted from its own disk again';
  if (view.boot_back === 'pending') return '; the server is being booted from its own disk again';
  if (view.boot_back === 'failed') return '; booting the server from its own disk failed and is tried again';
  return '';
}
