import type { JsonObject } from '../protocol/json.ts';
import type { OperationView, SnapshotView } from '../protocol/provision.ts';
import { isObject } from './api-error.ts';
import { formatBytes, formatDuration } from './quantities.ts';

/** The latest snapshot of a node as its API shows it; undefined when it never had one. */
export const snapshotViewOf = (node: JsonObject): SnapshotView | undefined => viewOf(node, 'snapshot') as SnapshotView | undefined;

/** The latest deployment, rebuild or cleaning of a node by the ramdisk. */
export const operationViewOf = (node: JsonObject): OperationView | undefined => viewOf(node, 'operation') as OperationView | undefined;

function viewOf(node: JsonObject, member: 'snapshot' | 'operation'): unknown {
  const view = isObject(node.driver_internal_info) ? node.driver_internal_info[member] : undefined;
  return isObject(view) && typeof view.phase === 'string' && typeof view.status === 'string' ? view : undefined;
}

export const stateOf = (node: JsonObject | undefined): string => (typeof node?.provision_state === 'string' ? node.provision_state : 'unknown');

type Progress = Pick<SnapshotView, 'phase' | 'step' | 'status' | 'bytes_done' | 'bytes_total'>;

/** What the node is busy with; undefined when nothing of it is shown. */
export function underWayOf(node: JsonObject): Progress | undefined {
  return [snapshotViewOf(node), operationViewOf(node)].find((view) => view?.status === 'unfinished');
}

/** Phases in which the agent says what it does. */
const AGENTS_PHASES = ['streaming', 'running'];
/** Phases that move bytes: in others the numbers stand for an earlier one. */
const BYTES_PHASES = ['streaming', 'upload', 'fetch image', 'running'];

/** The phase with what the agent does in it: `streaming: converting`. */
export const describePhase = ({ phase, step }: Progress): string => (AGENTS_PHASES.includes(phase) && step ? `${phase}: ${step}` : phase);

/** Bytes done and in all, where the phase moves any. */
export function bytesOf(view: Progress): { done: number; total: number } | undefined {
  if (!BYTES_PHASES.includes(view.phase)) return undefined;
  if (typeof view.bytes_done !== 'number' || typeof view.bytes_total !== 'number' || view.bytes_total <= 0) return undefined;
  return { done: Math.min(view.bytes_done, view.bytes_total), total: view.bytes_total };
}

/** How far it is: phase, bytes, percent. */
export function describeProgress(view: Progress): string {
  const bytes = bytesOf(view);
  return bytes ? `${describePhase(view)}, ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)} (${percent(bytes)} %)` : describePhase(view);
}

/** One line for a person: how far the snapshot is, or how it ended. */
export function describeSnapshot(view: SnapshotView): string {
  if (view.status === 'failed') return `failed in phase "${view.phase}": ${view.error ?? 'no reason recorded'}${describeBootBack(view)}`;
  if (view.status !== 'done') return describeProgress(view);
  const facts = [
    typeof view.size_bytes === 'number' ? formatBytes(view.size_bytes) : undefined,
    typeof view.duration_s === 'number' ? `took ${formatDuration(view.duration_s)}` : undefined,
    typeof view.downtime_s === 'number' ? `server down for ${formatDuration(view.downtime_s)}` : undefined,
  ].filter((fact) => fact !== undefined);
  return [`done: image ${view.image_ref}`, ...facts].join(', ');
}

/** The same of a deployment, rebuild or cleaning. */
export function describeOperation(view: OperationView): string {
  if (view.status === 'failed') return `${view.kind} failed in phase "${view.phase}": ${view.error ?? 'no reason recorded'}; ${describeDamage(view)}`;
  if (view.status !== 'done') return `${view.kind}: ${describeProgress(view)}`;
  const took = typeof view.duration_s === 'number' ? [`took ${formatDuration(view.duration_s)}`] : [];
  return [`${view.kind} done`, ...operationFacts(view), ...took].join(', ');
}

/** Image and disk of an operation that is done. */
export function operationFacts(view: OperationView): string[] {
  return [
    view.image_source ? `image ${view.image_source}` : undefined,
    isObject(view.disk) ? describeDisk(view.disk) : undefined,
  ].filter((fact) => fact !== undefined);
}

/** `disk sda (serial S1, 100 GiB)`, of what is known. */
export function describeDisk({ name, serial, wwn, size_bytes }: Readonly<Record<string, unknown>>): string {
  const facts = [
    typeof serial === 'string' ? `serial ${serial}` : typeof wwn === 'string' ? `WWN ${wwn}` : undefined,
    typeof size_bytes === 'number' ? formatBytes(size_bytes) : undefined,
  ].filter((fact) => fact !== undefined);
  return `disk ${typeof name === 'string' ? name : '(name not known)'}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`;
}

export const describeDamage = ({ disk_touched }: OperationView): string => (disk_touched ? 'its disk was written to: what was on it is lost' : 'nothing was written to its disk');

export const percent = ({ done, total }: { done: number; total: number }): number => Math.floor((100 * done) / total);

function describeBootBack(view: SnapshotView): string {
  if (view.boot_back === 'done') return '; the server was booted from its own disk again';
  if (view.boot_back === 'pending') return '; the server is being booted from its own disk again';
  if (view.boot_back === 'failed') return '; booting the server from its own disk failed and is tried again';
  return '';
}
