import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import type { ImageProof } from '../../../protocol/image-proof.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { streamImageProgressSchema, streamImageResultSchema, type StreamImageProgress } from '../../../protocol/agent-api.ts';
import type { SnapshotOptions } from '../../../protocol/capture.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { DriverTask, ImageService, Outcome, Phase, SnapshotDriver, SnapshotLimits, SnapshotRequest, SnapshotShare, SnapshotTask } from '../interfaces.ts';
import { stopCommand } from '../agent-stop.ts';
import { CleanUp } from '../clean-up.ts';
import { BOOT_BACK_TRIES, bootDeviceBack, bootIntoRamdisk, wayBackTimeoutMs, type TakeDown } from '../ramdisk-phases.ts';
import { requirePorts } from '../required-ports.ts';
import { overBudget } from './downtime-budget.ts';
import { resetHolder, uploadImage } from './image-upload.ts';
import { confirmIntermediateImage } from './intermediate-image.ts';
import { effectiveOptions, NODE_OPTIONS, type EffectiveOptions } from './snapshot-options.ts';
import { openShare, streamCommand, type CaptureSettings } from './stream-command.ts';
import { UploadSpeed } from './upload-speed.ts';

/** What the request is checked against before any node is touched. */
export interface AgentSnapshotParts {
  share: SnapshotShare;
  images: ImageService;
  limits: SnapshotLimits;
  /** Where neither the request nor the node says. */
  defaults: EffectiveOptions;
  /** How often a stream is begun, the first time included. */
  streamAttempts: number;
}

/**
 * The seed's `agent` implementation: the ramdisk agent streams the root disk to the conductor's WebDAV share, the
 * conductor proves it whole, brings the server back and uploads the image to the image service.
 */
export function createAgentSnapshotDriver(parts: AgentSnapshotParts): SnapshotDriver {
  const settings: CaptureSettings = { defaults: parts.defaults, streamAttempts: parts.streamAttempts, uploadSpeed: new UploadSpeed() };
  const optionsOf = ({ node }: DriverTask, requested: SnapshotOptions = {}): EffectiveOptions => effectiveOptions(requested, node.driverInfo, parts.defaults);
  return {
    name: 'agent',
    properties: NODE_OPTIONS,
    async validate(task) {
      await requirePorts(task);
      optionsOf(task);
    },
    requestChecks: (task, request) => ({
      ports: () => requirePorts(task),
      options: async () => void optionsOf(task, request.options),
      image: () => checkHolder(parts, task, request),
      spool: async () => checkSpool(parts, optionsOf(task, request.options)),
    }),
    effectiveOptions: optionsOf,
    snapshot: (task) => task.runPhases(bootIntoRamdisk(task.limits, takeDown)),
    continueSnapshot: (task) => task.runPhases(remainingPhases(task, settings)),
    poll,
    async takeUp(task) {
      await openShare(task, settings);
    },
    cleanUp,
  };
}

/** The system shuts down by itself where it will, so that the capture is never of a running one; a server that was off before is left off. */
const takeDown = (task: SnapshotTask): TakeDown => ({ soft: true, leaveOff: false, onPowerOff: () => task.saveSnapshot({ poweredOffAt: new Date() }) });

/** Captured means: nothing of the capture is needed from the server any more. */
const afterRamdisk = (limits: SnapshotLimits, settings: CaptureSettings): Phase[] => [
  bootDeviceBack(limits),
  { name: 'command', timeoutMs: limits.powerTimeoutMs + 180_000, run: (task) => streamCommand(task, settings) },
  { name: 'streaming', timeoutMs: limits.powerTimeoutMs, run: () => Promise.resolve('wait') },
];
const afterStreaming = (limits: SnapshotLimits, { uploadSpeed }: CaptureSettings): Phase[] => [
  { name: 'verify', timeoutMs: limits.captureTimeoutMs, run: confirmIntermediateImage },
  { name: 'boot back', timeoutMs: BOOT_BACK_TRIES * wayBackTimeoutMs(limits), run: bringServerBack },
  { name: 'upload', timeoutMs: limits.uploadTimeoutMs, run: (task) => uploadImage(task, uploadSpeed) },
  { name: 'remove', timeoutMs: limits.powerTimeoutMs, run: removeIntermediateImage },
];

/** From the stored phase on: a phase that was begun and not ended is done again. */
function remainingPhases(task: SnapshotTask, settings: CaptureSettings): Phase[] {
  const { phase } = task.snapshot;
  if (phase === 'await ramdisk') return afterRamdisk(task.limits, settings);
  const phases = afterStreaming(task.limits, settings);
  if (phase === 'streaming') return phases;
  const at = phases.findIndex((candidate) => candidate.name === phase);
  if (at < 0) throw new OperationFailedError(`A snapshot can not go on from its phase "${phase}"`);
  return phases.slice(at);
}

/** The image is safe on the spool: the downtime ends here, before the upload. */
async function bringServerBack(task: SnapshotTask): Promise<Outcome> {
  await task.saveSnapshot({ credentialHash: null });
  await task.bootBack();
  return 'done';
}

/** The snapshot is complete by now: a file that resists is no reason to call it failed (orphans are removed at the next start). */
async function removeIntermediateImage(task: SnapshotTask): Promise<Outcome> {
  await task.share.remove(task.snapshot.uuid).catch((error: unknown) => task.log.error({ error: messageOf(error) }, 'intermediate image could not be removed'));
  return 'done';
}

/** `wait` while the command runs; throws what the agent reports when it failed. */
async function poll(task: SnapshotTask): Promise<'wait' | 'continue'> {
  const { commandId } = task.snapshot;
  if (commandId === null) throw new OperationFailedError('The snapshot is streaming but no command of the agent is known');
  const report = await task.agent.status(task.node, commandId, task.signal);
  if (!report) throw new OperationFailedError('The agent does not know its command any more; the machine may have been reset during the capture');
  if (report.command_status === 'FAILED') {
    const refusal = task.share.refusalOf(task.snapshot.uuid);
    const { message, details } = report.command_error ?? { message: 'no reason given', details: '' };
    throw new OperationFailedError(`The agent could not capture the disk: ${message}${details ? ` (${details})` : ''}${refusal === null ? '' : `. The share says: ${refusal}`}`);
  }
  if (report.command_status === 'RUNNING') {
    const progress = streamImageProgressSchema.safeParse(report.command_result);
    if (progress.success) await noteProgress(task, progress.data);
    const reason = overBudget(task.snapshot);
    if (reason !== null) throw new OperationFailedError(reason);
    return 'wait';
  }
  const result = streamImageResultSchema.safeParse(report.command_result);
  if (!result.success) throw new OperationFailedError(`The agent reported success with a result that can not be used: ${result.error.message}`);
  if (result.data.inventory) await task.saveInventory(result.data.inventory);
  const { report: captured } = result.data;
  if (captured?.prediction) await task.saveSnapshot({ prediction: captured.prediction });
  await task.saveDisk(0, {
    sizeBytes: result.data.size_bytes,
    virtualSizeBytes: result.data.virtual_size_bytes,
    ...proofFields(result.data.proof),
    device: result.data.disk,
    report: captured ?? null,
  });
  return 'continue';
}

/** A file's proof is the image's digest; a stream's says nothing of that, and a relay, which knows it, may have noted it meanwhile. */
const proofFields = (proof: ImageProof): Pick<SnapshotDiskRow, 'proof'> & Partial<Pick<SnapshotDiskRow, 'osHashAlgo' | 'osHashValue'>> =>
  proof.algo === IMAGE_HASH_ALGO ? { proof, osHashAlgo: proof.algo, osHashValue: proof.value } : { proof };

/** What was predicted of a stream says nothing of a capture that went on through the mount. */
const MOUNT_STEPS: readonly StreamImageProgress['phase'][] = ['mounting', 'converting', 'uploading'];

async function noteProgress(task: SnapshotTask, { phase: step, bytes_done: bytesDone, bytes_total: bytesTotal, prediction }: StreamImageProgress): Promise<void> {
  const moved = step !== task.snapshot.step || bytesDone !== task.snapshot.bytesDone;
  await task.saveSnapshot({ step, bytesDone, bytesTotal, ...(prediction ? { prediction } : MOUNT_STEPS.includes(step) ? { prediction: null } : {}), ...(moved ? { progressAt: new Date() } : {}) });
}

async function cleanUp(task: SnapshotTask): Promise<void> {
  const { commandId, uuid } = task.snapshot;
  const parts = new CleanUp(task.log);
  await parts.attempt('revoke the credential', () => task.saveSnapshot({ credentialHash: null }));
  await stopCommand(task, commandId);
  await parts.attempt('remove the intermediate image', () => task.share.remove(uuid));
  for (const disk of task.snapshot.disks) await parts.attempt('put the image holder back', () => resetHolder(task, disk));
  parts.finish();
}

/** What is only relayed needs no room here. */
async function checkSpool(parts: AgentSnapshotParts, { snapshot_method: method, intermediate_storage: storage }: EffectiveOptions): Promise<void> {
  if (storage === 'relay' && method !== 'mount') return;
  const freeBytes = await parts.share.freeBytes();
  if (freeBytes <= parts.limits.spoolReserveBytes) {
    throw new TemporarilyUnavailableError(`The spool has ${freeBytes} bytes free, and ${parts.limits.spoolReserveBytes} are kept in reserve (snapshot.spool_reserve_bytes): free some space and repeat the request.`);
  }
}

async function checkHolder(parts: AgentSnapshotParts, task: DriverTask, request: SnapshotRequest): Promise<void> {
  const { imageRef } = request;
  const image = await showImage(parts, task, imageRef);
  const refuse = (reason: string): never => {
    throw new InvalidParameterError(`Image ${imageRef} can not receive the snapshot: ${reason}`, { image: imageRef });
  };
  if (!image) return refuse('the image service does not know it. Create it first, for example with "baremetal image create NAME".');
  if (image.status !== 'queued') refuse(`its status is ${image.status}: there is something at this place already (the image, or the .json beside it), and nothing is overwritten. Name an image that has never received data (status queued), or a place where there is nothing.`);
  const owner = request.anyOwner ? null : (request.projectId ?? (await parts.images.projectId()));
  if (owner !== null && image.owner !== null && image.owner !== owner) refuse(`it belongs to project ${image.owner}, not to the caller's ${owner}.`);
  if (image.disk_format !== null && image.disk_format !== 'qcow2') refuse(`its disk_format is ${image.disk_format}; snapshots are qcow2.`);
  if (image.container_format !== null && image.container_format !== 'bare') refuse(`its container_format is ${image.container_format}; snapshots are bare.`);
  if (image.os_hash_algo !== null && image.os_hash_algo !== IMAGE_HASH_ALGO) refuse(`its digest is ${image.os_hash_algo}; snapshots are proven by ${IMAGE_HASH_ALGO}.`);
}

async function showImage(parts: AgentSnapshotParts, task: DriverTask, imageRef: string): ReturnType<ImageService['show']> {
  try {
    return await parts.images.show(imageRef, task.signal);
  } catch (error) {
    if (error instanceof MetalshotError && error.httpStatus < 500) throw error;
    throw new TemporarilyUnavailableError(`It can not be found out now whether an image can be written to ${imageRef}: ${messageOf(error)}`, {}, error);
  }
}
