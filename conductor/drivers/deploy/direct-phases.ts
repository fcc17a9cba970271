import { ERASE_METADATA_COMMAND, WRITE_IMAGE_COMMAND, rootDeviceHintsSchema, type EraseMetadataParams, type WriteImageParams } from '../../../protocol/deploy-commands.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';
import { newCredential } from '../credential.ts';
import type { DeployImages, ImageSource, OperationLimits, OperationStep, OperationTask } from '../deployment.ts';
import type { Outcome } from '../interfaces.ts';
import { restoreBootDevice, switchRamdiskOff, undoRamdiskBoot } from '../own-disk.ts';
import { bootDeviceBack, bootIntoRamdisk, wayBackTimeoutMs, type TakeDown } from '../ramdisk-phases.ts';
import { ThrottledProgress } from '../throttled-progress.ts';

/** For a slow agent, whose client repeats a lost request: to find it, and to give it the command. */
const COMMAND_TIMEOUT_MS = 2 * 180_000;

/** The image is fetched while the server still runs. */
export const deploymentPhases = (limits: OperationLimits, images: DeployImages): OperationStep[] => [
  { name: 'fetch image', timeoutMs: limits.fetchTimeoutMs, run: (task) => fetchImage(task, images) },
  ...bootIntoRamdisk(limits, takeDownForImage),
  bootDeviceBack(limits),
  { name: 'command', timeoutMs: limits.powerTimeoutMs + COMMAND_TIMEOUT_MS, run: (task) => commandImage(task, images) },
  waitForCommand(limits),
  { name: 'boot from disk', timeoutMs: wayBackTimeoutMs(limits), run: (task) => bootFromDisk(task, images) },
];

export const cleaningPhases = (limits: OperationLimits): OperationStep[] => [
  ...bootIntoRamdisk<OperationTask>(limits, () => ({ soft: false, leaveOff: true })),
  bootDeviceBack(limits),
  { name: 'command', timeoutMs: limits.powerTimeoutMs + COMMAND_TIMEOUT_MS, run: commandErasure },
  waitForCommand(limits),
  { name: 'power off', timeoutMs: wayBackTimeoutMs(limits), run: leaveOff },
];

const waitForCommand = (limits: OperationLimits): OperationStep => ({ name: 'running', timeoutMs: limits.powerTimeoutMs, run: () => Promise.resolve('wait') });

/** What an available node runs is worth nothing: it is switched off, and left off when the deployment fails. What a rebuild finds comes back as long as the disk is untouched. */
function takeDownForImage({ operation, node }: OperationTask): TakeDown {
  const isWorthKeeping = operation.kind === 'rebuild' || node.bootBack !== null;
  return { soft: isWorthKeeping, leaveOff: !isWorthKeeping };
}

async function fetchImage(task: OperationTask, images: DeployImages): Promise<Outcome> {
  const { image, uuid } = task.operation;
  if (image === null) throw new OperationFailedError('The deployment names no image');
  await task.saveOperation({ step: 'fetching the image', bytesDone: 0, bytesTotal: null, progressAt: new Date() });
  const progress = new ThrottledProgress<{ bytesDone: number; bytesTotal: number | null }>((figures) => task.saveOperation({ ...figures, progressAt: new Date() }), task.log);
  try {
    await images.prepare(uuid, image as unknown as ImageSource, { signal: task.signal, onProgress: (bytesDone, bytesTotal) => progress.note({ bytesDone, bytesTotal }) });
  } finally {
    await progress.settle();
  }
  await task.saveOperation({ step: null, bytesDone: null, bytesTotal: null });
  return 'done';
}

async function commandImage(task: OperationTask, images: DeployImages): Promise<Outcome> {
  const { operation, limits } = task;
  const prepared = await images.prepared(operation.uuid);
  if (!prepared) throw new OperationFailedError('The image that was fetched for this deployment is gone');
  const { url, ca } = images.location(operation.uuid);
  const { password, hash } = newCredential();
  await task.saveOperation({ credentialHash: hash });
  const params: WriteImageParams = {
    url,
    username: operation.uuid,
    password,
    ...(ca === undefined ? {} : { ca }),
    virtual_size_bytes: prepared.virtualSizeBytes,
    ...targetDisk(task),
    boot_label: 'Metalshot',
    ...(operation.generalize === null ? {} : { generalize: operation.generalize as WriteImageParams['generalize'] }),
    attempts: 5,
    deadline_s: limits.writeTimeoutMs / 1_000,
    stall_timeout_s: limits.stallTimeoutMs / 1_000,
  };
  await startCommand(task, WRITE_IMAGE_COMMAND, params, limits.writeTimeoutMs);
  return 'done';
}

async function commandErasure(task: OperationTask): Promise<Outcome> {
  const params: EraseMetadataParams = { ...targetDisk(task), deadline_s: task.limits.cleanTimeoutMs / 1_000 };
  await startCommand(task, ERASE_METADATA_COMMAND, params, task.limits.cleanTimeoutMs);
  return 'done';
}

/**
 * From the moment that the command is sent the disk counts as touched, until it is certain that it is not. So the agent is
 * spoken to before, about a command that it does not know: that it can not be reached, or is not the one of the heartbeat,
 * shows while nothing can have been written.
 */
async function startCommand(task: OperationTask, name: string, params: Record<string, unknown>, limitMs: number): Promise<void> {
  await task.agent.status(task.node, task.operation.uuid, task.signal);
  const now = new Date();
  const { diskTouched } = task.operation;
  await task.saveOperation({ diskTouched: true, deadlineAt: new Date(now.getTime() + limitMs), progressAt: now });
  try {
    const { id } = await task.agent.start(task.node, name, params, task.signal);
    await task.saveOperation({ commandId: id });
  } catch (error) {
    if (wasNotTaken(error)) await task.saveOperation({ diskTouched });
    throw error;
  }
}

/** The agent has answered, and not by taking the command. */
const wasNotTaken = (error: unknown): boolean =>
  error instanceof MetalshotError && typeof error.data['status'] === 'number' && error.data['status'] < 500 && error.data['unreachable'] !== true;

/** Which disk may be written: never one that nobody has named while another is recorded. */
function targetDisk({ node, recordedDisk }: OperationTask): Pick<WriteImageParams, 'root_device' | 'recorded_disk'> {
  const hints = node.instanceInfo['root_device'] ?? node.properties['root_device'] ?? null;
  const parsed = rootDeviceHintsSchema.safeParse(hints ?? {});
  if (!parsed.success) throw new InvalidParameterError(`The root device hints ${JSON.stringify(hints)} can not be used: expected an object of texts, numbers and booleans by name`);
  return { ...(hints === null ? {} : { root_device: parsed.data }), ...(recordedDisk === null ? {} : { recorded_disk: recordedDisk }) };
}

/** Nothing runs on a cleaned machine: it gets no networks but its own. */
async function leaveOff(task: OperationTask): Promise<Outcome> {
  await switchRamdiskOff(task);
  await undoRamdiskBoot(task, { runsInstance: false });
  await restoreBootDevice(task);
  return 'done';
}

/** The deployment is complete by now: an image that resists its removal is no reason to call it failed (orphans are removed at the next start). */
async function bootFromDisk(task: OperationTask, images: DeployImages): Promise<Outcome> {
  await task.saveOperation({ credentialHash: null });
  await images.remove(task.operation.uuid).catch((error: unknown) => task.log.error({ error: messageOf(error) }, 'fetched image could not be removed'));
  await switchRamdiskOff(task);
  await undoRamdiskBoot(task, { runsInstance: true });
  await task.drivers.power.setPowerState(task, 'power on', task.limits.powerTimeoutMs);
  await task.saveNode({ powerState: 'power on' });
  await restoreBootDevice(task);
  return 'done';
}
