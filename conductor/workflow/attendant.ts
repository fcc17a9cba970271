import { messageOf } from '../../protocol/errors.ts';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { takeFreeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';
import { changeProvisionState } from './provision-state.ts';
import { SnapshotSession } from './snapshot-session.ts';
import { carryOut, type Executors } from './work.ts';

/** Who moves waiting nodes on has no user behind it. */
export const SYSTEM_USER = 'system';

/**
 * Moves nodes on that wait: for a ramdisk to call, for a command to end, for a free capture slot. One look at a node at a
 * time; a look that was asked for meanwhile is made up for.
 */
export class Attendant {
  readonly #parts: WorkflowParts;
  readonly #executors: Executors;
  readonly #attending = new Map<number, { again: boolean }>();

  constructor(parts: WorkflowParts, executors: Executors) {
    this.#parts = parts;
    this.#executors = executors;
  }

  /** After a heartbeat of the node's ramdisk. */
  heartbeatArrived(nodeId: number): void {
    this.#look(nodeId, true);
  }

  /** Asks the agents of all streaming nodes how far they are, without waiting for their heartbeat. */
  async pollStreaming(): Promise<void> {
    for (const node of await this.#parts.db.nodes.inStates(['snapshot wait'])) {
      if ((await this.#parts.db.snapshots.unfinishedOf(node.id))?.phase === 'streaming') this.#look(node.id, false);
    }
  }

  /** Fails a waiting node whose time is up, unless its snapshot (as it was seen then) has moved on meanwhile. */
  async fail(nodeId: number, reason: string, seen: SnapshotRow | null): Promise<void> {
    await this.#step(nodeId, { type: 'fail' }, { seen, error: reason });
  }

  /** Lets a queued snapshot begin. */
  async admit(nodeId: number, seen: SnapshotRow): Promise<void> {
    await this.#step(nodeId, { type: 'resume' }, { seen });
  }

  #look(nodeId: number, heartbeat: boolean): void {
    const underWay = this.#attending.get(nodeId);
    if (underWay) {
      underWay.again ||= heartbeat;
      return;
    }
    const look = { again: false };
    this.#attending.set(nodeId, look);
    this.#parts.background.start(`attend node ${nodeId}`, async () => {
      let byHeartbeat = heartbeat;
      try {
        do {
          look.again = false;
          await this.#attend(nodeId, byHeartbeat, look);
          byHeartbeat = true;
        } while (look.again && !this.#parts.background.signal.aborted);
      } finally {
        this.#attending.delete(nodeId);
      }
    });
  }

  async #attend(nodeId: number, heartbeat: boolean, look: { again: boolean }): Promise<void> {
    const node = await this.#parts.db.nodes.get(nodeId);
    if (!hasTag(node.provisionState, 'heartbeat')) {
      if (hasTag(node.provisionState, 'lookup') && heartbeat) await this.#whenUnlocked(nodeId, look);
      return;
    }
    const snapshot = node.provisionState === 'snapshot wait' ? await this.#parts.db.snapshots.unfinishedOf(nodeId) : null;
    if (snapshot?.phase === 'queue') return;
    if (snapshot?.phase === 'streaming') await this.#attendStreaming(node, snapshot);
    else if (heartbeat) await this.#step(nodeId, { type: 'resume' }, { seen: snapshot });
  }

  /** A request may hold the lock for a moment; the event must not be lost for it. Null: the node waits no more. */
  async #lockWhileWaiting(nodeId: number): Promise<NodeRow | null> {
    const { background, db } = this.#parts;
    while (!background.signal.aborted) {
      const node = await takeFreeLock(this.#parts, nodeId);
      if (node) return node;
      if (!hasTag((await db.nodes.get(nodeId)).provisionState, 'heartbeat')) return null;
      await new Promise((resolve) => setTimeout(resolve, UNLOCK_POLL_MS));
    }
    return null;
  }

  /** The ramdisk called while its node's work is still being stored; its next call may be minutes away, so look once the lock is free. */
  async #whenUnlocked(nodeId: number, look: { again: boolean }): Promise<void> {
    const { signal } = this.#parts.background;
    for (let waited = 0; waited < this.#parts.times.heartbeatTimeoutMs && !signal.aborted; waited += UNLOCK_POLL_MS) {
      const node = await this.#parts.db.nodes.get(nodeId);
      if (!hasTag(node.provisionState, 'lookup')) return;
      if (node.reservation === null) {
        look.again = hasTag(node.provisionState, 'heartbeat');
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, UNLOCK_POLL_MS));
    }
  }

  async #attendStreaming(node: NodeRow, snapshot: SnapshotRow): Promise<void> {
    const session = await SnapshotSession.open(this.#parts, node, snapshot);
    let found: 'wait' | 'continue';
    try {
      found = await session.drivers.snapshot.poll(session);
    } catch (error) {
      if (this.#parts.background.signal.aborted) return;
      if (isUnreachable(error)) {
        session.log.info({ error: messageOf(error) }, 'agent does not answer; its silence is bounded by the stall limit');
        return;
      }
      await this.#step(node.id, { type: 'fail' }, { seen: snapshot, error: messageOf(error) });
      return;
    }
    if (found === 'continue') await this.#step(node.id, { type: 'resume' }, { seen: snapshot });
  }

  /** Takes the lock, carries out the event and what follows. A node whose snapshot is not as it was seen any more is left alone. */
  async #step(nodeId: number, event: ProvisionEvent, { seen, error }: { seen: SnapshotRow | null; error?: string }): Promise<void> {
    const node = await this.#lockWhileWaiting(nodeId);
    if (!node) return;
    let carried = false;
    try {
      if (!hasTag(node.provisionState, 'heartbeat')) return;
      const current = await this.#parts.db.snapshots.unfinishedOf(nodeId);
      if (current?.id !== seen?.id || current?.phase !== seen?.phase) return;
      const change = await changeProvisionState(this.#parts, node, event, { user: SYSTEM_USER, lock: 'held', ...(error === undefined ? {} : { error }) });
      carried = true;
      await carryOut(this.#executors, { parts: this.#parts, node: change.node, user: SYSTEM_USER }, change.step.intentions);
    } finally {
      if (!carried) await this.#parts.db.nodes.release(nodeId, this.#parts.host);
    }
  }
}

const UNLOCK_POLL_MS = 100;

/** The driver marks what may pass by itself: an agent that can not be reached just now. */
const isUnreachable = (error: unknown): boolean => error instanceof Error && 'data' in error && (error.data as { unreachable?: boolean }).unreachable === true;
