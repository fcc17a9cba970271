import type { Intention } from '../../state-machine/provision-machine.ts';
import { statesWith } from '../../state-machine/provision-states.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { SYSTEM_USER } from './attendant.ts';
import { takeFreeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';
import { changeProvisionState } from './provision-state.ts';
import { RESUMABLE_PHASES, endSnapshot } from './snapshot-workflow.ts';
import { carryOut, type Executors } from './work.ts';

/**
 * What a conductor does for its nodes when it comes back after dying: locks are cleared, whatever name they carry (it is
 * the only one on this database, and may have been renamed); a snapshot whose data is
 * safe on the spool goes on; other work that was under way fails and is settled; what waited goes on waiting; files and
 * snapshots that nobody owns any more are removed. Returns once every node is in somebody's hands.
 */
export async function recover(parts: WorkflowParts, executors: Executors): Promise<void> {
  const cleared = await parts.db.nodes.clearReservations();
  if (cleared > 0) parts.log.warn({ nodes: cleared }, 'locks of an earlier run were cleared');

  const interrupted = await parts.db.nodes.inStates(statesWith('failsOnRestart'));
  for (const { id } of interrupted) {
    const node = await takeFreeLock(parts, id);
    if (node) parts.background.start(`recover node ${node.uuid}`, () => recoverNode(parts, executors, node));
  }
  for (const snapshot of await parts.db.snapshots.unfinished()) {
    if (interrupted.some((node) => node.id === snapshot.nodeId)) continue;
    await recoverSnapshot(parts, executors, snapshot);
  }
}

async function recoverNode(parts: WorkflowParts, executors: Executors, node: NodeRow): Promise<void> {
  const work = { parts, node, user: SYSTEM_USER };
  const snapshot = await parts.db.snapshots.latestOf(node.id);
  if (node.provisionState === 'snapshotting' && snapshot) {
    if (snapshot.status === 'done') {
      const change = await changeProvisionState(parts, node, { type: 'done' }, { user: SYSTEM_USER, lock: 'held', release: true });
      parts.log.info({ node: node.uuid, state: change.node.provisionState }, 'snapshot had ended; its state is stored now');
      return;
    }
    if (snapshot.status === 'unfinished' && RESUMABLE_PHASES.includes(snapshot.phase)) {
      parts.log.info({ node: node.uuid, snapshot: snapshot.uuid, phase: snapshot.phase }, 'snapshot goes on after a restart');
      return carryOut(executors, work, ['continueSnapshot']);
    }
  }
  const error = `The conductor ${parts.host} was restarted while the node was in state "${node.provisionState}"${snapshot?.status === 'unfinished' ? ` (snapshot phase "${snapshot.phase}")` : ''}; this can't be resumed.`;
  if (node.provisionState !== 'snapshotting') await endSnapshot(parts, node, error);
  const change = await changeProvisionState(parts, node, { type: 'fail' }, { user: SYSTEM_USER, lock: 'held', error });
  return carryOut(executors, { ...work, node: change.node }, change.step.intentions);
}

/** Nodes that were not at work: waiting ones get their share back, failed ones are settled again, others drop the snapshot. */
async function recoverSnapshot(parts: WorkflowParts, executors: Executors, snapshot: SnapshotRow): Promise<void> {
  const { provisionState, id } = await parts.db.nodes.get(snapshot.nodeId);
  if (provisionState === 'snapshot wait') {
    if (snapshot.phase !== 'streaming') return;
    await parts.share.open(snapshot.uuid, parts.limits.maxImageBytes);
    await parts.db.snapshots.update(snapshot.id, { progressAt: new Date() }); // nobody looked meanwhile: that is no stall
    return;
  }
  const node = await takeFreeLock(parts, id);
  if (!node) return;
  const settle: Intention[] = provisionState === 'snapshot failed' ? ['settleSnapshot'] : [];
  parts.background.start(`settle snapshot ${snapshot.uuid}`, async () => {
    if (settle.length === 0) await endSnapshot(parts, node, `The conductor was restarted while the node was in state "${provisionState}"`);
    await carryOut(executors, { parts, node, user: SYSTEM_USER }, settle);
  });
}
