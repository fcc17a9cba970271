import { OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { OperationPhase } from '../../protocol/provision.ts';
import type { NodePatch } from '../db/node-store.ts';
import type { NodeRow, OperationRow } from '../db/rows.ts';
import type { Outcome } from '../drivers/interfaces.ts';
import { NO_RAMDISK } from '../drivers/ramdisk-task.ts';
import { addSentences, bringBack } from './boot-back.ts';
import { OperationSession } from './operation-session.ts';
import { NOTHING_TO_BRING_BACK, outlookOf, withoutHalfWritten, type Outlook } from './outlook.ts';
import type { WorkflowParts } from './parts.ts';
import { secondLookupOf } from './second-lookup.ts';
import type { Work } from './work.ts';

/** Phases in which a conductor that died left everything it needs to go on: the agent is at work, or has done it. In the others the operation fails. */
export const RESUMABLE_OPERATION_PHASES: readonly OperationPhase[] = ['running', 'boot from disk', 'power off'];

/** Carries a deployment or a cleaning on by `step`, and closes its row when that was the last one. */
export async function carryOn({ parts, node }: Work, operation: OperationRow, step: (session: OperationSession) => Promise<Outcome>): Promise<Outcome> {
  const session = await OperationSession.open(parts, node, operation);
  const outcome = await step(session);
  if (outcome === 'wait') return 'wait';
  const { driverInternalInfo } = await parts.db.nodes.get(node.id);
  await parts.db.nodes.update(node.id, { ...NOTHING_TO_BRING_BACK, ...NO_RAMDISK, bootDeviceBefore: null, driverInternalInfo: withoutHalfWritten(driverInternalInfo) });
  await parts.db.operations.finish(operation.id, 'done', null);
  return 'done';
}

/** @throws OperationFailedError when none is under way. */
export async function unfinishedOperation(parts: WorkflowParts, node: NodeRow): Promise<OperationRow> {
  const operation = await parts.db.operations.unfinishedOf(node.id);
  if (!operation) throw new OperationFailedError(`Node ${node.uuid} is in ${node.provisionState} but no deployment or cleaning of it is under way`);
  return operation;
}

/** After a failure or an abort: nothing half-made is left, the server is brought back as far as its disk is as before, and `last_error` says how it stands. */
export async function settleOperation({ parts, node }: Work): Promise<null> {
  await close(parts, node, node.lastError ?? 'the operation failed', (current, leftBehind, { says, patch }) => ({ ...patch, lastError: addSentences(current.lastError, leftBehind, says) }));
  await bringBack(parts, node.id);
  await parts.db.nodes.update(node.id, NO_RAMDISK);
  return null;
}

/**
 * Ends an unfinished deployment or cleaning without a word to power: credential, command, fetched image, row.
 * @returns what could not be cleaned up, for a person to read, or null.
 */
export const endOperation = (parts: WorkflowParts, node: NodeRow, reason: string): Promise<string | null> => close(parts, node, reason, (_current, _leftBehind, { patch }) => patch);

/** What is to become of the server is stored together with the end of the row: whoever comes after a crash finds both or neither, and never a server that goes back to a disk that is not whole. */
async function close(parts: WorkflowParts, node: NodeRow, reason: string, patchOf: (current: NodeRow, leftBehind: string | null, outlook: Outlook) => NodePatch): Promise<string | null> {
  const unfinished = await parts.db.operations.unfinishedOf(node.id);
  if (!unfinished) return null;
  let leftBehind: string | null = null;
  try {
    const session = await OperationSession.open(parts, node, unfinished);
    await session.drivers.deploy.cleanUp(session);
  } catch (error) {
    if (parts.background.signal.aborted) throw error; // cut short: the row stays unfinished, and the next start ends it
    leftBehind = messageOf(error);
  }
  const operation = (await parts.db.operations.unfinishedOf(node.id)) ?? unfinished; // the clean-up has learned from the agent
  const current = await parts.db.nodes.get(node.id);
  const believed = secondLookupOf(current) === null ? operation : { ...operation, report: null };
  if (believed.report !== operation.report) await parts.db.operations.update(operation.id, { report: null });
  await parts.db.operations.finish(operation.id, 'failed', reason, patchOf(current, leftBehind, outlookOf(believed, current)));
  return leftBehind;
}
