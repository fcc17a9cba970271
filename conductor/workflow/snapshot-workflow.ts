import { OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { SnapshotPhase } from '../../protocol/provision.ts';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { bringBack } from './boot-back.ts';
import { NO_RAMDISK } from '../drivers/ramdisk-task.ts';
import type { CaptureSlots } from './capture-slots.ts';
import type { WorkflowParts } from './parts.ts';
import { driverTask } from './driver-task.ts';
import { SnapshotSession } from './snapshot-session.ts';
import type { Work } from './work.ts';

const CHECK_TIMEOUT_MS = 60_000;

/** Phases in which a conductor that died left everything it needs to go on. In the others the snapshot fails. */
export const RESUMABLE_PHASES: readonly SnapshotPhase[] = ['queue', 'verify', 'boot back', 'upload', 'remove'];

/** Starts, or queues where as many captures run as may: the server stays up until it is its turn. */
export async function startSnapshot({ parts, node }: Work, slots: CaptureSlots): Promise<ProvisionEvent> {
  const snapshot = await unfinishedSnapshot(parts, node);
  if (!(await slots.claim(snapshot))) return { type: 'wait' };
  await parts.db.nodes.update(node.id, { bootNonceHash: null }); // what was brought to a boot before does not concern this one
  const session = await SnapshotSession.open(parts, await parts.db.nodes.get(node.id), (await parts.db.snapshots.unfinishedOf(node.id)) ?? snapshot);
  return conclude(parts, session, await session.drivers.snapshot.snapshot(session));
}

/** Goes on where the stored phase stands: from the queue, with the ramdisk alive, or with the agent's command ended. */
export async function continueSnapshot(work: Work, slots: CaptureSlots): Promise<ProvisionEvent> {
  const { parts, node } = work;
  const snapshot = await unfinishedSnapshot(parts, node);
  if (snapshot.phase === 'queue') {
    await checkAgain(work, snapshot);
    return startSnapshot(work, slots);
  }
  const session = await SnapshotSession.open(parts, node, snapshot);
  return conclude(parts, session, await session.drivers.snapshot.continueSnapshot(session));
}

/** A snapshot may have waited for hours: what its request was checked for has to hold before the server is touched. */
async function checkAgain({ parts, node }: Work, { disks, options }: SnapshotRow): Promise<void> {
  const driver = parts.hardware.driversFor(node).snapshot;
  const task = await driverTask(parts, node, CHECK_TIMEOUT_MS);
  for (const { imageRef } of disks) {
    for (const check of Object.values(driver.requestChecks(task, { imageRef, options, projectId: null, anyOwner: true }))) await check();
  }
}

async function conclude(parts: WorkflowParts, session: SnapshotSession, outcome: 'wait' | 'done'): Promise<ProvisionEvent> {
  if (outcome === 'wait') return { type: 'wait' };
  const { bootBack: state } = await parts.db.nodes.get(session.node.id);
  if (state === 'pending' || state === 'failed') throw new OperationFailedError('The snapshot ended, but the server is not back on its own disk');
  await parts.db.nodes.update(session.node.id, NO_RAMDISK);
  await parts.db.snapshots.finish(session.snapshot.id, 'done', null);
  return { type: 'done' };
}

/** After a failure or an abort: nothing half-made is left, the server is brought back, the snapshot's row is closed. */
export async function settleSnapshot({ parts, node }: Work): Promise<null> {
  const leftBehind = await endSnapshot(parts, node, node.lastError ?? 'the snapshot failed');
  const current = await parts.db.nodes.get(node.id);
  if (leftBehind !== null) await parts.db.nodes.update(node.id, { lastError: `${current.lastError ?? ''} ${leftBehind}`.trim() });
  await bringBack(parts, node.id);
  await parts.db.nodes.update(node.id, NO_RAMDISK);
  return null;
}

/**
 * Ends an unfinished snapshot without a word to power: credential, command, intermediate image, holder, row.
 * @returns what could not be cleaned up, for a person to read, or null.
 */
export async function endSnapshot(parts: WorkflowParts, node: NodeRow, reason: string): Promise<string | null> {
  const snapshot = await parts.db.snapshots.unfinishedOf(node.id);
  if (!snapshot) return null;
  let leftBehind: string | null = null;
  if (snapshot.phase !== 'queue') {
    try {
      const session = await SnapshotSession.open(parts, node, snapshot);
      await session.drivers.snapshot.cleanUp(session);
    } catch (error) {
      if (parts.background.signal.aborted) throw error; // cut short: the row stays unfinished, and the next start ends it
      leftBehind = messageOf(error);
    }
  }
  await parts.db.snapshots.finish(snapshot.id, 'failed', reason);
  return leftBehind;
}

async function unfinishedSnapshot(parts: WorkflowParts, node: NodeRow): Promise<SnapshotRow> {
  const snapshot = await parts.db.snapshots.unfinishedOf(node.id);
  if (!snapshot) throw new OperationFailedError(`Node ${node.uuid} is in ${node.provisionState} but no snapshot of it is under way`);
  return snapshot;
}
