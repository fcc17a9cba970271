import { hasTag } from '../../state-machine/provision-states.ts';
import type { ConductorRow } from '../db/rows.ts';
import { noteEvent } from './history-lines.ts';
import { abandonPowerChange } from './interrupted-power.ts';
import type { WorkflowParts } from './parts.ts';
import { recoverNode } from './recovery.ts';
import type { Executors } from './work.ts';

/**
 * Takes the locks of conductors that are dead, which means not seen for conductor.conductor_timeout_s, and settles what they were at
 * as after a restart. A lock goes straight from the dead name to ours, and only if the dead one still has it.
 */
export async function takeBackLocks(parts: WorkflowParts, executors: Executors): Promise<void> {
  const dead = (await parts.db.conductors.list()).filter((conductor) => isDead(parts, conductor)).map(({ hostname }) => hostname);
  if (dead.length === 0) return;
  for (const { id, uuid, reservation } of await parts.db.nodes.reservedBy(dead)) {
    if (reservation !== null) parts.background.start(`take back the lock of ${uuid}`, () => takeBack(parts, executors, id, reservation));
  }
}

const isDead = (parts: WorkflowParts, { hostname, updatedAt }: ConductorRow): boolean => hostname !== parts.host && updatedAt.getTime() < Date.now() - parts.duties.conductorTimeoutMs;

async function takeBack(parts: WorkflowParts, executors: Executors, nodeId: number, from: string): Promise<void> {
  const holder = await parts.db.conductors.find(from);
  if (holder && !isDead(parts, holder)) return; // it came back meanwhile
  if (!(await parts.db.nodes.takeOver(nodeId, from, parts.host))) return;
  const cause = `the conductor ${from} died`;
  let handedOver = false;
  try {
    const node = await parts.db.nodes.get(nodeId);
    parts.log.warn({ node: node.uuid, state: node.provisionState, from }, 'lock of a dead conductor was taken back');
    await noteEvent(parts, node, 'takeover', `The conductor ${from} has not been seen for ${parts.duties.conductorTimeoutMs / 1000} s: its lock was taken back.`, { error: true });
    await abandonPowerChange(parts, node, 'takeover', cause);
    if (!hasTag(node.provisionState, 'failsOnRestart')) return;
    const current = await parts.db.nodes.get(nodeId);
    handedOver = true; // the recovery lets the lock go
    await recoverNode(parts, executors, current, cause);
  } finally {
    if (!handedOver) await parts.db.nodes.release(nodeId, parts.host);
  }
}
