import { setTimeout as sleep } from 'node:timers/promises';
import { NodeLockedError, NotFoundError } from '../../protocol/errors.ts';
import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Runs `attempt` until it does not find the node locked, as often and with the pause that Ironic has (3 times, 1 s).
 * @throws NodeLockedError after the last try.
 */
export async function retryWhileLocked<T>(parts: WorkflowParts, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof NodeLockedError) || tried >= parts.times.lockAttempts) throw error;
      await sleep(parts.times.lockRetryIntervalMs, undefined, { signal: parts.background.signal });
    }
  }
}

/** Takes the exclusive lock and reads the row under it. @throws NodeLockedError, NotFoundError */
export async function takeLock(parts: WorkflowParts, nodeUuid: string): Promise<NodeRow> {
  const node = await parts.db.nodes.find(nodeUuid);
  if (!node) throw new NotFoundError(`Node ${nodeUuid} could not be found.`);
  if (!(await parts.db.nodes.reserve(node.id, parts.host))) throw new NodeLockedError(nodeUuid, node.reservation ?? 'another request');
  return parts.db.nodes.get(node.id);
}

/** The lock if it is free, at once; otherwise null: for work that comes round again by itself. */
export async function takeFreeLock(parts: WorkflowParts, nodeId: number): Promise<NodeRow | null> {
  return (await parts.db.nodes.reserve(nodeId, parts.host)) ? parts.db.nodes.get(nodeId) : null;
}

/** Runs `work` under the exclusive lock, which is let go on every path. */
export async function withLock<T>(parts: WorkflowParts, nodeUuid: string, work: (node: NodeRow) => Promise<T>): Promise<T> {
  const node = await retryWhileLocked(parts, () => takeLock(parts, nodeUuid));
  try {
    return await work(node);
  } finally {
    await parts.db.nodes.release(node.id, parts.host);
  }
}
