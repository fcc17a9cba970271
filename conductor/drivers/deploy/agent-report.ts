import type { CommandReport } from '../../../protocol/agent-api.ts';
import { eraseMetadataResultSchema, writeImageProgressSchema, writeImageResultSchema } from '../../../protocol/deploy-commands.ts';
import { OperationFailedError, messageOf } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import type { OperationTask } from '../deployment.ts';

/** `wait` while the command runs; stores what it reports. @throws OperationFailedError with what the agent says when it failed. */
export async function pollCommand(task: OperationTask): Promise<'wait' | 'continue'> {
  const { commandId, report: known } = task.operation;
  if (known !== null) return 'continue';
  if (commandId === null) throw new OperationFailedError('The agent is at work but no command of it is known');
  const report = await task.agent.status(task.node, commandId, task.signal);
  if (!report) throw new OperationFailedError('The agent does not know its command any more; the machine may have been reset meanwhile');
  switch (report.command_status) {
    case 'FAILED': {
      await noteTouched(task, report);
      const { message, details } = report.command_error ?? { message: 'no reason given', details: '' };
      throw new OperationFailedError(`The agent could not ${task.operation.kind === 'clean' ? 'clean the disk' : 'write the image'}: ${message}${details === '' || touchedOf(report) !== undefined ? '' : ` (${details})`}`);
    }
    case 'RUNNING':
      await noteProgress(task, report);
      return 'wait';
    case 'SUCCEEDED':
      await noteResult(task, report.command_result);
      return 'continue';
  }
}

/** After the command was stopped: whether it had been done already, or whether the disk was touched by then. An agent that does not tell leaves it as it is known. */
export async function learnFromAgent(task: OperationTask): Promise<void> {
  const { commandId } = task.operation;
  if (commandId === null || task.operation.report !== null) return;
  try {
    const report = await task.agent.status(task.node, commandId, task.signal);
    if (report?.command_status === 'FAILED') await noteTouched(task, report);
    if (report?.command_status === 'SUCCEEDED') await noteResult(task, report.command_result);
  } catch (error) {
    task.log.info({ error: messageOf(error) }, 'agent does not tell what it did to the disk; it is taken to have touched it'); // the careful answer is stored already
  }
}

/** Only of a command that has ended: one that runs may touch the disk at any moment. */
async function noteTouched(task: OperationTask, report: CommandReport): Promise<void> {
  const touched = touchedOf(report);
  if (touched !== undefined) await task.saveOperation({ diskTouched: touched });
}

function touchedOf({ command_error: error }: CommandReport): boolean | undefined {
  try {
    const { disk_touched: touched } = JSON.parse(error?.details ?? '') as { disk_touched?: unknown };
    return typeof touched === 'boolean' ? touched : undefined;
  } catch {
    return undefined; // details are a person's words, of an error that is not the command's own
  }
}

async function noteProgress(task: OperationTask, { command_result: result }: CommandReport): Promise<void> {
  const progress = writeImageProgressSchema.safeParse(result);
  if (!progress.success) return task.saveOperation({ progressAt: new Date() }); // an erasure tells none: that it answers has to do
  const { phase: step, bytes_done: bytesDone, bytes_total: bytesTotal } = progress.data;
  const moved = step !== task.operation.step || bytesDone !== task.operation.bytesDone;
  await task.saveOperation({ step, bytesDone, bytesTotal, ...(moved ? { progressAt: new Date() } : {}) });
}

async function noteResult(task: OperationTask, result: JsonObject | null): Promise<void> {
  const schema = task.operation.kind === 'clean' ? eraseMetadataResultSchema : writeImageResultSchema;
  const parsed = schema.safeParse(result);
  if (!parsed.success) throw new OperationFailedError(`The agent reported success with a result that can not be used: ${parsed.error.message}`);
  const { inventory, disk, ...report } = parsed.data;
  await task.saveInventory(inventory);
  await task.saveOperation({ device: disk, report: report, step: null });
}
