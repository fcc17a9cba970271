import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { noteEvent, type EventType } from './history-lines.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Ends a power change whose conductor is gone: whether the machine obeyed is not known here, power sync finds out. To be
 * called when nobody carries it out any more: at the start, or under the lock of the one who did.
 */
export async function abandonPowerChange(parts: WorkflowParts, node: NodeRow, eventType: EventType, cause: string): Promise<void> {
  if (node.targetPowerState === null) return;
  const error = `The change to "${node.targetPowerState}" was under way when ${cause}; whether it was carried out is not known. Look at the power state, and repeat the request if needed.`;
  const own = hasTag(node.provisionState, 'failsOnRestart'); // the work that asked for it fails with its own words
  await parts.db.nodes.update(node.id, { targetPowerState: null, ...(own ? {} : { lastError: error }) });
  parts.log.warn({ node: node.uuid, target: node.targetPowerState, cause }, 'power change was abandoned');
  await noteEvent(parts, node, eventType, error, { error: true });
}

/** At the start, when all locks are cleared: power changes of an earlier run. */
export async function abandonPowerChanges(parts: WorkflowParts): Promise<void> {
  for (const node of await parts.db.nodes.withPowerTarget()) await abandonPowerChange(parts, node, 'conductor', `the conductor ${parts.host} was restarted`);
}
