import { messageOf } from '../../protocol/errors.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { driverTask } from './driver-task.ts';
import { takeFreeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Brings a server that was taken down for a snapshot back to its own disk, or leaves it off when it was off before.
 * A ramdisk is switched off hard (it has nothing to lose); a system that was asked to shut down is seen off first, softly
 * if it will, since it could go down by itself later; one that nothing was asked of keeps running. May be called again at
 * any time. The lock must be held.
 * @returns the node's row as stored.
 * @throws MetalshotError when the machine does not obey; `boot_back` then stays as it is.
 */
export async function bootBack(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow | null): Promise<NodeRow> {
  if (node.bootBack === null || node.bootBack === 'done') return node;
  const { boot, management, power } = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, parts.limits.softPowerOffTimeoutMs + 4 * parts.limits.powerTimeoutMs);
  const wasOff = node.powerStateBefore === 'power off';

  if (node.powerOffDue !== 'none' || wasOff) {
    const down = node.powerOffDue === 'shutdown' && (await power.softPowerOff(task, parts.limits.softPowerOffTimeoutMs));
    if (!down) await power.setPowerState(task, 'power off', parts.limits.powerTimeoutMs);
    await parts.db.nodes.update(node.id, { powerOffDue: 'none' }); // a repetition must not cut the power of what boots now
  }
  await boot.cleanUpRamdisk(task);
  await management.setBootDevice(task, 'disk', false);
  if (!wasOff) await power.setPowerState(task, 'power on', parts.limits.powerTimeoutMs);

  const now = new Date();
  await parts.db.nodes.update(node.id, { bootBack: 'done', bootBackAttempts: 0, bootBackNextAt: null, powerState: wasOff ? 'power off' : 'power on', targetPowerState: null, agentUrl: null, agentToken: null, agentVerifyCa: null });
  if (snapshot && snapshot.poweredOffAt && !wasOff) await parts.db.snapshots.update(snapshot.id, { poweredOnAt: now });
  task.log.info({ poweredOn: !wasOff }, 'server is back on its own disk');
  return parts.db.nodes.get(node.id);
}

/** A boot-back that failed is noted, with the time of the next try: pauses double up to a maximum. */
export async function noteFailedBootBack(parts: WorkflowParts, node: NodeRow, error: unknown): Promise<void> {
  const attempts = node.bootBackAttempts + 1;
  const pauseMs = Math.min(parts.times.bootBackRetryMs * 2 ** Math.min(attempts - 1, 30), parts.times.bootBackRetryMaxMs);
  parts.log.error({ node: node.uuid, attempts, pauseMs, error: messageOf(error) }, 'server could not be booted back; it will be tried again');
  await parts.db.nodes.update(node.id, {
    bootBack: 'failed',
    bootBackAttempts: attempts,
    bootBackNextAt: new Date(Date.now() + pauseMs),
    lastError: appendOnce(node.lastError, `The server could not be booted back from its own disk (this is tried again by itself): ${messageOf(error)}`),
  });
}

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
    if (!(await isLeftAlone(parts, node))) await bootBack(parts, node, await parts.db.snapshots.latestOf(node.id));
  } catch (error) {
    await noteFailedBootBack(parts, node, error);
  } finally {
    await parts.db.nodes.release(node.id, parts.host);
  }
}

/** A snapshot that waits for its turn has no ramdisk: a server that is still down from an attempt before comes back meanwhile. */
async function isLeftAlone(parts: WorkflowParts, node: NodeRow): Promise<boolean> {
  if (!hasTag(node.provisionState, 'lookup')) return false;
  return node.provisionState !== 'snapshot wait' || (await parts.db.snapshots.unfinishedOf(node.id))?.phase !== 'queue';
}

const appendOnce = (text: string | null, more: string): string => {
  if (text === null) return more;
  const marker = 'The server could not be booted back';
  const before = text.includes(marker) ? text.slice(0, text.indexOf(marker)).trimEnd() : text;
  return before === '' ? more : `${before} ${more}`;
};
