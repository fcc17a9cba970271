import { messageOf } from '../../protocol/errors.ts';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import { hasTag, statesWith } from '../../state-machine/provision-states.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { SYSTEM_USER } from './history-lines.ts';
import { takeFreeLock } from './lock.ts';
import { OperationSession } from './operation-session.ts';
import type { WorkflowParts } from './parts.ts';
import { changeProvisionState } from './provision-state.ts';
import { SnapshotSession } from './snapshot-session.ts';
import { isAsSeen, isAtCommand, workUnderWay, type WorkUnderWay } from './work-under-way.ts';
import { secondLookupOf } from './second-lookup.ts';
import { carryOut, type Executors } from './work.ts';

/**
 * Moves nodes on that wait: for a ramdisk to call, for a command to end, for a free capture slot. One look at a node at a
 * time; a look that was asked for meanwhile is made up for.
 */
export class Attendant {
  readonly #parts: WorkflowParts;
  readonly #executors: Executors;
  readonly #attending = new Map<number, { again: boolean }>();
  readonly #overdue = new Set<number>();

  constructor(parts: WorkflowParts, executors: Executors) {
    this.#parts = parts;
    this.#executors = executors;
  }

  /** After a heartbeat of the node's ramdisk. */
  heartbeatArrived(nodeId: number): void {
    this.#look(nodeId, true);
  }

  /** Asks all agents that are at work how far they are, without waiting for their heartbeat. */
  async pollAgents(): Promise<void> {
    for (const node of await this.#parts.db.nodes.inStates(statesWith('heartbeat'))) {
      const work = await workUnderWay(this.#parts, node);
      if (work && isAtCommand(work)) this.#look(node.id, false);
    }
  }

  /**
   * Fails a waiting node whose time is up, unless its work (as it was seen then) has moved on meanwhile. A command is looked
   * at once more: its time may have passed unseen, while the conductor was away, and it may have ended well in it.
   * @param reasonOf why its time is up, or null.
   */
  async failOverdue(nodeId: number, seen: WorkUnderWay | null, reasonOf: (node: NodeRow, work: WorkUnderWay | null) => string | null): Promise<void> {
    if (this.#overdue.has(nodeId)) return;
    this.#overdue.add(nodeId);
    try {
      if (seen && isAtCommand(seen) && (await this.#attendCommand(await this.#parts.db.nodes.get(nodeId), seen)) === 'moved on') return;
      const node = await this.#parts.db.nodes.get(nodeId);
      const reason = reasonOf(node, await workUnderWay(this.#parts, node));
      if (reason !== null) await this.#step(nodeId, { type: 'fail' }, { seen, error: reason });
    } finally {
      this.#overdue.delete(nodeId);
    }
  }

  /** Fails the work of a node of which a second machine has looked itself up: at once where it waits; work that is being carried out sees to it by itself. */
  secondLookupNoticed(nodeId: number): void {
    this.#parts.background.start(`fail node ${nodeId} for its second lookup`, async () => {
      await this.failOverdue(nodeId, await workUnderWay(this.#parts, await this.#parts.db.nodes.get(nodeId)), secondLookupOf);
    });
  }

  /** Lets a queued snapshot begin. */
  async admit(nodeId: number, seen: SnapshotRow): Promise<void> {
    await this.#step(nodeId, { type: 'resume' }, { seen: { kind: 'snapshot', row: seen } });
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
    const work = await workUnderWay(this.#parts, node);
    if (work?.row.phase === 'queue') return;
    if (work && isAtCommand(work)) await this.#attendCommand(node, work);
    else if (heartbeat && isHeard(node)) await this.#step(nodeId, { type: 'resume' }, { seen: work });
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
        look.again = hasTag(node.provisionState, 'heartbeat') && isHeard(node);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, UNLOCK_POLL_MS));
    }
  }

  /** Asks how far the command is, and carries out what follows from its end. */
  async #attendCommand(node: NodeRow, work: WorkUnderWay): Promise<'waits' | 'moved on'> {
    let found: 'wait' | 'continue';
    try {
      found = await this.#poll(node, work);
    } catch (error) {
      if (this.#parts.background.signal.aborted) return 'moved on';
      if (isUnreachable(error)) {
        this.#parts.log.info({ node: node.uuid, error: messageOf(error) }, 'agent does not answer; its silence is bounded by the limits of its command');
        return 'waits';
      }
      await this.#step(node.id, { type: 'fail' }, { seen: work, error: messageOf(error) });
      return 'moved on';
    }
    if (found === 'wait') return 'waits';
    await this.#step(node.id, { type: 'resume' }, { seen: work });
    return 'moved on';
  }

  async #poll(node: NodeRow, work: WorkUnderWay): Promise<'wait' | 'continue'> {
    if (work.kind === 'snapshot') {
      const session = await SnapshotSession.open(this.#parts, node, work.row);
      return session.drivers.snapshot.poll(session);
    }
    const session = await OperationSession.open(this.#parts, node, work.row);
    return session.drivers.deploy.poll(session);
  }

  /** Takes the lock, carries out the event and what follows. A node whose work is not as it was seen any more is left alone. */
  async #step(nodeId: number, event: ProvisionEvent, { seen, error }: { seen: WorkUnderWay | null; error?: string }): Promise<void> {
    const node = await this.#lockWhileWaiting(nodeId);
    if (!node) return;
    let carried = false;
    try {
      if (!hasTag(node.provisionState, 'heartbeat')) return;
      if (!isAsSeen(seen, await workUnderWay(this.#parts, node))) return;
      const change = await changeProvisionState(this.#parts, node, event, { user: SYSTEM_USER, lock: 'held', ...(error === undefined ? {} : { error }) });
      carried = true;
      await carryOut(this.#executors, { parts: this.#parts, node: change.node, user: SYSTEM_USER }, change.step.intentions);
    } finally {
      if (!carried) await this.#parts.db.nodes.release(nodeId, this.#parts.host);
    }
  }
}

const UNLOCK_POLL_MS = 100;

/** The ramdisk that was booted for this work has called. One of before, which may have called while the work began, is forgotten once its server is off. */
const isHeard = (node: NodeRow): boolean => node.agentUrl !== null;

/** The driver marks what may pass by itself: an agent that can not be reached just now. */
const isUnreachable = (error: unknown): boolean => error instanceof Error && 'data' in error && (error.data as { unreachable?: boolean }).unreachable === true;
