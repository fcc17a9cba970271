import { messageOf } from '../../protocol/errors.ts';
import type { Intention, ProvisionEvent } from '../../state-machine/provision-machine.ts';
import { stepFrom } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';
import { changeProvisionState } from './provision-state.ts';

/** What an executor has to work with: the node under our lock, and who asked. */
export interface Work {
  readonly parts: WorkflowParts;
  readonly node: NodeRow;
  readonly user: string;
}

/**
 * Carries out one intention and says which event follows from it; null when none does. What it throws becomes the event
 * `fail` with its message as `last_error`.
 */
export type Executor = (work: Work) => Promise<ProvisionEvent | null>;

/** Total: an intention without an executor does not compile. */
export type Executors = Readonly<Record<Intention, Executor>>;

/**
 * Carries out intentions and the events that follow from them, until none is left; then the lock is let go. The lock must
 * be held; the node is never left in a state of work under way, unless the conductor itself is stopping.
 */
export async function carryOut(executors: Executors, work: Work, intentions: readonly Intention[]): Promise<void> {
  const { parts, user } = work;
  let { node } = work;
  const pending = [...intentions];
  try {
    for (let intention = pending.shift(); intention !== undefined; intention = pending.shift()) {
      const { event, error } = await execute(executors, { parts, node, user }, intention);
      if (parts.background.signal.aborted) return; // settled by recovery at the next start, from what is stored
      if (!event) continue;
      node = await parts.db.nodes.get(node.id);
      if (!stepFrom(node.provisionState, event)) {
        parts.log.error({ node: node.uuid, state: node.provisionState, event: event.type, error }, 'work ended with an event that its state does not know');
        continue;
      }
      const change = await changeProvisionState(parts, node, event, { user, lock: 'held', ...(error === undefined ? {} : { error }) });
      node = change.node;
      pending.push(...change.step.intentions);
    }
  } finally {
    await parts.db.nodes.release(node.id, parts.host);
  }
}

async function execute(executors: Executors, work: Work, intention: Intention): Promise<{ event: ProvisionEvent | null; error?: string }> {
  try {
    return { event: await executors[intention](work) };
  } catch (error) {
    const stack = error instanceof Error ? error.stack : undefined;
    work.parts.log.error({ node: work.node.uuid, intention, error: messageOf(error), stack }, 'work failed');
    return { event: { type: 'fail' }, error: messageOf(error) };
  }
}
