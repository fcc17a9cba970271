import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow, OperationRow, SnapshotRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** What the ramdisk of a node is there for. */
export type WorkUnderWay = { kind: 'snapshot'; row: SnapshotRow } | { kind: 'operation'; row: OperationRow };

/** The unfinished snapshot of a node in the states of one, else its unfinished deployment or cleaning; null where no ramdisk is expected. */
export async function workUnderWay({ db }: WorkflowParts, node: NodeRow): Promise<WorkUnderWay | null> {
  if (!hasTag(node.provisionState, 'lookup')) return null;
  if (node.provisionState === 'snapshotting' || node.provisionState === 'snapshot wait') {
    const snapshot = await db.snapshots.unfinishedOf(node.id);
    return snapshot && { kind: 'snapshot', row: snapshot };
  }
  const operation = await db.operations.unfinishedOf(node.id);
  return operation && { kind: 'operation', row: operation };
}

/** What the node's ramdisk was there for last, ended or not. */
export async function latestWork({ db }: WorkflowParts, node: NodeRow): Promise<WorkUnderWay | null> {
  const [snapshot, operation] = await Promise.all([db.snapshots.latestOf(node.id), db.operations.latestOf(node.id)]);
  if (operation && (!snapshot || operation.startedAt >= snapshot.startedAt)) return { kind: 'operation', row: operation };
  return snapshot && { kind: 'snapshot', row: snapshot };
}

/** Whether nothing has moved on since the work was seen. */
export const isAsSeen = (seen: WorkUnderWay | null, now: WorkUnderWay | null): boolean => seen?.kind === now?.kind && seen?.row.id === now?.row.id && seen?.row.phase === now?.row.phase;

/** A command of the agent is at work, whose end is asked for. */
export const isAtCommand = ({ row: { phase } }: WorkUnderWay): boolean => phase === 'streaming' || phase === 'running';
