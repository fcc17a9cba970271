import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { STATES_AFTER_OPERATIONS, bringBack } from './boot-back.ts';
import { SYSTEM_USER } from './history-lines.ts';
import { takeFreeLock } from './lock.ts';
import { settleOperation } from './operation-workflow.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Starts every boot-back that is due, each on its own: one dead BMC must not keep other servers down. In every state, in
 * maintenance too, but for those in which a ramdisk may be at work: there the workflow decides about power.
 */
export async function retryBootBacks(parts: WorkflowParts): Promise<void> {
  for (const due of await parts.db.nodes.withPendingBootBack(new Date())) {
    if (due.reservation !== null || (await isLeftAlone(parts, due))) continue;
    parts.background.start(`boot back ${due.uuid}`, () => retryBootBack(parts, due.id));
  }
}

async function retryBootBack(parts: WorkflowParts, nodeId: number): Promise<void> {
  const node = await takeFreeLock(parts, nodeId);
  if (!node) return;
  try {
    if (await isLeftAlone(parts, node)) return;
    // a settling that did not get as far as storing what the disk is worth (the database refused, for example) begins anew
    if (STATES_AFTER_OPERATIONS.includes(node.provisionState) && (await parts.db.operations.unfinishedOf(nodeId))) await settleOperation({ parts, node, user: SYSTEM_USER });
    else await bringBack(parts, nodeId);
  } finally {
    await parts.db.nodes.release(nodeId, parts.host);
  }
}

/** A snapshot that waits for its turn has no ramdisk: a server that is still down from an attempt before comes back meanwhile. */
async function isLeftAlone(parts: WorkflowParts, node: NodeRow): Promise<boolean> {
  if (!hasTag(node.provisionState, 'lookup')) return false;
  return node.provisionState !== 'snapshot wait' || (await parts.db.snapshots.unfinishedOf(node.id))?.phase !== 'queue';
}
