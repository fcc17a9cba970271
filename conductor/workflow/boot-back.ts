import { messageOf } from '../../protocol/errors.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { NodeRow } from '../db/rows.ts';
import { restoreBootDevice, switchRamdiskOff, undoRamdiskBoot } from '../drivers/own-disk.ts';
import { noteEvent } from './history-lines.ts';
import { NOTHING_TO_BRING_BACK, outlookOf } from './outlook.ts';
import type { WorkflowParts } from './parts.ts';
import { POWER_FAILURE } from './power-sync.ts';
import { WayBackSession } from './way-back-session.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/**
 * Brings a server that was taken down for the ramdisk's work back to its own disk, or leaves it off when it was off before.
 * A ramdisk is switched off hard (it has nothing to lose), unless the server may have left it by itself; a system that was
 * asked to shut down is seen off first, softly if it will, since it could go down by itself later; one that nothing was
 * asked of keeps running. May be called again at any time. The lock must be held.
 * @param work what the ramdisk was there for; null: not known.
 * @returns the node's row as stored.
 * @throws MetalshotError when the machine does not obey; `boot_back` then stays as it is.
 */
export async function bootBack(parts: WorkflowParts, node: NodeRow, work: WorkUnderWay | null): Promise<NodeRow> {
  if (node.bootBack === null || node.bootBack === 'done') return node;
  const session = await WayBackSession.open(parts, node, work);
  const { power } = session.drivers;
  const { powerTimeoutMs } = session.limits;
  const wasOff = node.powerStateBefore === 'power off';
  if (node.ramdiskBoot === 'armed') await session.saveNode({ ramdiskBoot: null }); // a boot from the network that comes late gets the own disk
  await switchRamdiskOff(session);
  if (wasOff) await power.setPowerState(session, 'power off', powerTimeoutMs);
  await undoRamdiskBoot(session, { runsInstance: work?.kind !== 'operation' || outlookOf(work.row, node).runsInstance });
  if (!wasOff) await power.setPowerState(session, 'power on', powerTimeoutMs);
  const now = new Date();
  await restoreBootDevice(session);
  await parts.db.nodes.update(node.id, { bootBack: 'done', bootBackAttempts: 0, bootBackNextAt: null, bootDeviceBefore: null, powerState: wasOff ? 'power off' : 'power on', targetPowerState: null, ...(node.fault === POWER_FAILURE ? NO_FAULT : {}) });
  if (work?.kind === 'snapshot' && work.row.poweredOffAt && work.row.poweredOnAt === null && !wasOff) await parts.db.snapshots.update(work.row.id, { poweredOnAt: now });
  session.log.info({ poweredOn: !wasOff }, 'server is back on its own disk');
  return parts.db.nodes.get(node.id);
}

/** Boots a server back whose work failed, and says in `last_error` how it stands then; a boot-back that fails is tried again later. The lock must be held. */
export async function bringBack(parts: WorkflowParts, nodeId: number): Promise<void> {
  const node = await parts.db.nodes.get(nodeId);
  try {
    const operation = STATES_AFTER_OPERATIONS.includes(node.provisionState) ? await parts.db.operations.latestOf(nodeId) : null;
    const outlook = operation && outlookOf(operation, node);
    const back = await bootBack(parts, node, operation ? { kind: 'operation', row: operation } : await latestSnapshotWork(parts, nodeId));
    if (node.bootBack === null || node.bootBack === 'done') return;
    await parts.db.nodes.update(nodeId, {
      ...(outlook?.forgets ? NOTHING_TO_BRING_BACK : {}),
      lastError: addSentences(withoutFailedBootBack(back.lastError), back.powerState === 'power on' ? (outlook?.saysWhenUp ?? null) : null),
    });
  } catch (error) {
    await noteFailedBootBack(parts, await parts.db.nodes.get(nodeId), error);
  }
}

/** The node's newest snapshot as work of a ramdisk, ended or not. */
export async function latestSnapshotWork(parts: WorkflowParts, nodeId: number): Promise<WorkUnderWay | null> {
  const snapshot = await parts.db.snapshots.latestOf(nodeId);
  return snapshot && { kind: 'snapshot', row: snapshot };
}

/** A boot-back that failed is noted, with the time of the next try: pauses double up to a maximum. After a few the node is in maintenance, until one has worked. */
export async function noteFailedBootBack(parts: WorkflowParts, node: NodeRow, error: unknown): Promise<void> {
  const attempts = node.bootBackAttempts + 1;
  const pauseMs = Math.min(parts.times.bootBackRetryMs * 2 ** Math.min(attempts - 1, 30), parts.times.bootBackRetryMaxMs);
  parts.log.error({ node: node.uuid, attempts, pauseMs, error: messageOf(error) }, 'server could not be booted back; it will be tried again');
  const goal = node.powerStateBefore === 'power off' ? 'switched off' : 'booted back from its own disk';
  const isFault = attempts >= parts.duties.powerSyncAttempts && !node.maintenance;
  const reason = `The server could not be ${goal} ${attempts} times in a row; the node is in maintenance until that has worked (fault "${POWER_FAILURE}"). Last: ${messageOf(error)}`;
  await parts.db.nodes.update(node.id, {
    ...(isFault ? { maintenance: true, maintenanceReason: reason, fault: POWER_FAILURE } : {}),
    bootBack: 'failed',
    bootBackAttempts: attempts,
    bootBackNextAt: new Date(Date.now() + pauseMs),
    lastError: [withoutFailedBootBack(node.lastError), `${BOOT_BACK_FAILED} ${goal} (this is tried again by itself): ${messageOf(error)}`].filter((text) => text !== null).join(' '),
  });
  if (isFault) await noteEvent(parts, node, 'conductor', reason, { error: true });
}

const NO_FAULT = { maintenance: false, maintenanceReason: null, fault: null } as const;

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
