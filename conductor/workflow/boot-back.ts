import { messageOf } from '../../protocol/errors.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import { driverTask } from './driver-task.ts';
import { NOTHING_TO_BRING_BACK, outlookOf } from './outlook.ts';
import type { WorkflowParts } from './parts.ts';

/**
 * Brings a server that was taken down for the ramdisk's work back to its own disk, or leaves it off when it was off before.
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
  if (snapshot?.poweredOffAt && snapshot.poweredOnAt === null && !wasOff) await parts.db.snapshots.update(snapshot.id, { poweredOnAt: now });
  task.log.info({ poweredOn: !wasOff }, 'server is back on its own disk');
  return parts.db.nodes.get(node.id);
}

/** Boots a server back whose work failed, and says in `last_error` how it stands then; a boot-back that fails is tried again later. The lock must be held. */
export async function bringBack(parts: WorkflowParts, nodeId: number): Promise<void> {
  const node = await parts.db.nodes.get(nodeId);
  try {
    const operation = STATES_AFTER_OPERATIONS.includes(node.provisionState) ? await parts.db.operations.latestOf(nodeId) : null;
    const outlook = operation && outlookOf(operation, node);
    const back = await bootBack(parts, node, operation ? null : await parts.db.snapshots.latestOf(nodeId));
    if (node.bootBack === null || node.bootBack === 'done') return;
    await parts.db.nodes.update(nodeId, {
      ...(outlook?.forgets ? NOTHING_TO_BRING_BACK : {}),
      lastError: addSentences(withoutFailedBootBack(back.lastError), back.powerState === 'power on' ? (outlook?.saysWhenUp ?? null) : null),
    });
  } catch (error) {
    await noteFailedBootBack(parts, await parts.db.nodes.get(nodeId), error);
  }
}

/** A boot-back that failed is noted, with the time of the next try: pauses double up to a maximum. */
export async function noteFailedBootBack(parts: WorkflowParts, node: NodeRow, error: unknown): Promise<void> {
  const attempts = node.bootBackAttempts + 1;
  const pauseMs = Math.min(parts.times.bootBackRetryMs * 2 ** Math.min(attempts - 1, 30), parts.times.bootBackRetryMaxMs);
  parts.log.error({ node: node.uuid, attempts, pauseMs, error: messageOf(error) }, 'server could not be booted back; it will be tried again');
  const goal = node.powerStateBefore === 'power off' ? 'switched off' : 'booted back from its own disk';
  await parts.db.nodes.update(node.id, {
    bootBack: 'failed',
    bootBackAttempts: attempts,
    bootBackNextAt: new Date(Date.now() + pauseMs),
    lastError: [withoutFailedBootBack(node.lastError), `${BOOT_BACK_FAILED} ${goal} (this is tried again by itself): ${messageOf(error)}`].filter((text) => text !== null).join(' '),
  });
}

/** Where a server that is still down was taken down by a deployment or a cleaning. */
export const STATES_AFTER_OPERATIONS: readonly ProvisionState[] = ['deploy failed', 'clean failed'];

const BOOT_BACK_FAILED = 'The server could not be';

/** What was said of boot-backs that failed ends the text. */
function withoutFailedBootBack(text: string | null): string | null {
  const at = text?.indexOf(BOOT_BACK_FAILED) ?? -1;
  return text === null || at < 0 ? text : text.slice(0, at).trimEnd() || null;
}

/** The text with these sentences behind it; null is none. */
export function addSentences(text: string | null, ...sentences: (string | null)[]): string | null {
  const added = sentences.filter((sentence) => sentence !== null);
  if (added.length === 0) return text;
  const before = text === null ? [] : [/[.!?]$/.test(text) ? text : `${text}.`];
  return [...before, ...added].join(' ');
}
