import { messageOf } from '../../protocol/errors.ts';
import type { Intention } from '../../state-machine/provision-machine.ts';
import { hasTag, statesWith } from '../../state-machine/provision-states.ts';
import type { NodeRow, OperationRow, SnapshotRow } from '../db/rows.ts';
import { SYSTEM_USER } from './history-lines.ts';
import { abandonPowerChanges } from './interrupted-power.ts';
import { takeFreeLock } from './lock.ts';
import { RESUMABLE_OPERATION_PHASES, endOperation } from './operation-workflow.ts';
import type { WorkflowParts } from './parts.ts';
import { SnapshotSession } from './snapshot-session.ts';
import { changeProvisionState } from './provision-state.ts';
import { RESUMABLE_PHASES, endSnapshot } from './snapshot-workflow.ts';
import { carryOut, type Executors } from './work.ts';

/**
 * What a conductor does for its nodes when it comes back after dying: locks are cleared, whatever name they carry (it is
 * the only one on this database, and may have been renamed); a snapshot whose data is safe on the spool goes on, and so does
 * a deployment whose image the agent writes or has written; other work that was under way fails and is settled; what waited
 * goes on waiting; files and work that nobody owns any more are removed. Returns once every node is in somebody's hands.
 */
export async function recover(parts: WorkflowParts, executors: Executors): Promise<void> {
  const cleared = await parts.db.nodes.clearReservations();
  if (cleared > 0) parts.log.warn({ nodes: cleared }, 'locks of an earlier run were cleared');
  await abandonPowerChanges(parts);

  const interrupted = await parts.db.nodes.inStates(statesWith('failsOnRestart'));
  for (const { id } of interrupted) {
    const node = await takeFreeLock(parts, id);
    if (node) parts.background.start(`recover node ${node.uuid}`, () => recoverNode(parts, executors, node));
  }
  for (const snapshot of await parts.db.snapshots.unfinished()) {
    if (interrupted.some((node) => node.id === snapshot.nodeId)) continue;
    await recoverSnapshot(parts, executors, snapshot);
  }
  for (const operation of await parts.db.operations.unfinished()) {
    if (interrupted.some((node) => node.id === operation.nodeId)) continue;
    await recoverOperation(parts, executors, operation);
  }
}

/**
 * Takes up nodes whose state says that somebody is at work while nobody holds the lock: work that could not store how it
 * ended (a full disk, for example). Nothing else leaves a node so, since the lock goes only with such a state's end.
 */
export async function takeUpOrphans(parts: WorkflowParts, executors: Executors): Promise<void> {
  for (const { id } of (await parts.db.nodes.inStates(statesWith('failsOnRestart'))).filter(({ reservation }) => reservation === null)) {
    const node = await takeFreeLock(parts, id);
    if (!node) continue;
    if (hasTag(node.provisionState, 'failsOnRestart')) parts.background.start(`take up node ${node.uuid}`, () => recoverNode(parts, executors, node, 'its work was lost'));
    else await parts.db.nodes.release(id, parts.host);
  }
}

/** Settles work under way of a conductor that is gone, whose lock we hold; the lock is let go. `cause` reads as in "work ended when CAUSE". */
export async function recoverNode(parts: WorkflowParts, executors: Executors, node: NodeRow, cause = `the conductor ${parts.host} was restarted`): Promise<void> {
  let handedOver = false;
  const handOver: HandOver = (current, intentions) => {
    handedOver = true; // carryOut lets the lock go on every path, and somebody else may have it right after
    return carryOut(executors, { parts, node: current, user: SYSTEM_USER }, intentions);
  };
  try {
    await settleInterrupted(parts, node, cause, handOver);
  } catch (error) {
    if (!handedOver) await parts.db.nodes.release(node.id, parts.host); // taken up again by takeUpOrphans
    throw error;
  }
}

/** Gives the node, and with it our lock, to whoever carries the intentions out. */
type HandOver = (node: NodeRow, intentions: readonly Intention[]) => Promise<void>;

async function settleInterrupted(parts: WorkflowParts, node: NodeRow, cause: string, handOver: HandOver): Promise<void> {
  const snapshot = await parts.db.snapshots.latestOf(node.id);
  if (node.provisionState === 'snapshotting' && snapshot) {
    if (snapshot.status === 'done') {
      const change = await changeProvisionState(parts, node, { type: 'done' }, { user: SYSTEM_USER, lock: 'held', release: true });
      parts.log.info({ node: node.uuid, state: change.node.provisionState }, 'snapshot had ended; its state is stored now');
      return;
    }
    if (snapshot.status === 'unfinished' && RESUMABLE_PHASES.includes(snapshot.phase)) {
      parts.log.info({ node: node.uuid, snapshot: snapshot.uuid, phase: snapshot.phase }, 'snapshot goes on after a restart');
      return handOver(node, ['continueSnapshot']);
    }
  }
  const operation = await parts.db.operations.latestOf(node.id);
  if (operation && (await resumeOperation(parts, node, operation, handOver))) return;
  const error = `${cause.charAt(0).toUpperCase()}${cause.slice(1)} while the node was in state "${node.provisionState}"${phaseOf(snapshot, operation)}; this can't be resumed.`;
  if (node.provisionState !== 'snapshotting') await endSnapshot(parts, node, error);
  if (node.provisionState === 'deleting') await endOperation(parts, node, error);
  const change = await changeProvisionState(parts, node, { type: 'fail' }, { user: SYSTEM_USER, lock: 'held', error });
  return handOver(change.node, change.step.intentions);
}

function phaseOf(snapshot: SnapshotRow | null, operation: OperationRow | null): string {
  if (snapshot?.status === 'unfinished') return ` (snapshot phase "${snapshot.phase}")`;
  return operation?.status === 'unfinished' ? ` (phase "${operation.phase}")` : '';
}

/** @returns whether the deployment or cleaning is in somebody's hands again, or had ended. */
async function resumeOperation(parts: WorkflowParts, node: NodeRow, operation: OperationRow, handOver: HandOver): Promise<boolean> {
  const { provisionState } = node;
  if (provisionState === 'deploying' && operation.status === 'done') {
    const change = await changeProvisionState(parts, node, { type: 'done' }, { user: SYSTEM_USER, lock: 'held', release: true });
    parts.log.info({ node: node.uuid, state: change.node.provisionState }, 'deployment had ended; its state is stored now');
    return true;
  }
  const intention: Intention | null = provisionState === 'deploying' ? 'continueDeploy' : provisionState === 'cleaning' ? 'continueClean' : null;
  if (intention === null || operation.status !== 'unfinished' || !RESUMABLE_OPERATION_PHASES.includes(operation.phase)) return false;
  parts.log.info({ node: node.uuid, operation: operation.uuid, phase: operation.phase }, 'work goes on after a restart');
  await parts.db.operations.update(operation.id, { progressAt: new Date() }); // nobody looked meanwhile: that is no stall
  await handOver(node, [intention]);
  return true;
}

/** Nodes that were not at work: waiting ones get their share back, failed ones are settled again, others drop the snapshot. */
async function recoverSnapshot(parts: WorkflowParts, executors: Executors, snapshot: SnapshotRow): Promise<void> {
  const { provisionState, id } = await parts.db.nodes.get(snapshot.nodeId);
  if (provisionState === 'snapshot wait') {
    if (snapshot.phase !== 'streaming') return;
    try {
      const session = await SnapshotSession.open(parts, await parts.db.nodes.get(id), snapshot);
      await session.drivers.snapshot.takeUp?.(session);
    } catch (error) {
      // one node must not keep the others' conductor from starting: this capture stalls, and fails by that
      parts.log.error({ node: snapshot.nodeId, snapshot: snapshot.uuid, error: messageOf(error) }, 'a capture under way could not be taken up');
    }
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

/** As recoverSnapshot; a fetched image waits on the disk. */
async function recoverOperation(parts: WorkflowParts, executors: Executors, operation: OperationRow): Promise<void> {
  const { provisionState, id } = await parts.db.nodes.get(operation.nodeId);
  if (provisionState === 'wait call-back' || provisionState === 'clean wait') {
    await parts.db.operations.update(operation.id, { progressAt: new Date() });
    return;
  }
  const node = await takeFreeLock(parts, id);
  if (!node) return;
  const settle: Intention[] = provisionState === 'deploy failed' ? ['stopDeploy'] : provisionState === 'clean failed' ? ['stopClean'] : [];
  parts.background.start(`settle operation ${operation.uuid}`, async () => {
    if (settle.length === 0) await endOperation(parts, node, `The conductor was restarted while the node was in state "${provisionState}"`);
    await carryOut(executors, { parts, node, user: SYSTEM_USER }, settle);
  });
}
