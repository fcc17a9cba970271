import { setTimeout as sleep } from 'node:timers/promises';
import type { Image } from '../../../protocol/image.ts';
import { MetalshotError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { isDestination, parseImageRef } from '../../../protocol/image-ref.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';
import { ThrottledProgress } from '../throttled-progress.ts';
import { recordManifest } from './manifest.ts';
import type { UploadSpeed } from './upload-speed.ts';

const FORMATS = { disk_format: 'qcow2', container_format: 'bare' } as const;

/** Uploads from the spool as often as it takes: a hiccup of the image service never costs a second downtime. */
export async function uploadImage(task: SnapshotTask, speed: UploadSpeed): Promise<Outcome> {
  for (const disk of task.snapshot.disks) {
    await uploadDisk(task, disk, speed);
    await recordManifest(task, disk);
  }
  return 'done';
}

async function uploadDisk(task: SnapshotTask, disk: SnapshotDiskRow, speed: UploadSpeed): Promise<void> {
  let pauseMs = task.limits.uploadRetryPauseMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await tryUpload(task, disk, speed);
      return;
    } catch (error) {
      const retryable = error instanceof TemporarilyUnavailableError || (error instanceof MetalshotError && error.data['retryable'] === true);
      if (!retryable || attempt >= task.limits.uploadAttempts || task.signal.aborted) {
        throw new OperationFailedError(`The image could not be uploaded to ${disk.imageRef}${attempt > 1 ? ` (${attempt} attempts)` : ''}: ${error instanceof NotFoundError ? 'it was deleted meanwhile: ' : ''}${messageOf(error)}`, {}, error);
      }
      task.log.warn({ attempt, pauseMs, error: messageOf(error) }, 'upload failed; it is tried again from the spool');
      await sleep(pauseMs, undefined, { signal: task.signal });
      pauseMs *= 2;
    }
  }
}

/** Makes the holder ready to receive data of this length; `active`: it has some already. What is half-made there by us is removed. */
export async function prepareHolder(task: SnapshotTask, disk: SnapshotDiskRow, sizeBytes: number, signal: AbortSignal): Promise<'ready' | 'active'> {
  const found = await showSettled(task, disk, signal);
  if (!found) throw new OperationFailedError(`image ${disk.imageRef} was deleted while the snapshot was taken`, { retryable: false });
  if (found.status === 'active') {
    if (found.size === sizeBytes || !isOurs(task, disk, found, sizeBytes)) return 'active';
    await task.images.deactivate(disk.imageRef, signal, true);
  }
  // a place outside the image service is cleared of what an upload has left by the waiting
  if (found.status !== 'queued' || isDestination(disk.imageRef)) await task.images.waitUntilQueued(disk.imageRef, task.limits.requeueTimeoutMs, signal);
  await setMissingFormats(task, disk, found, signal);
  return 'ready';
}

/** The image, once an upload that broke is no longer under way: the service may end it either way. @throws TemporarilyUnavailableError when it does not in time. */
async function showSettled(task: SnapshotTask, { imageRef }: SnapshotDiskRow, signal: AbortSignal): Promise<Image | null> {
  const image = await task.images.show(imageRef, signal);
  if (image?.status !== 'saving') return image;
  try {
    return await task.images.waitUntilQueued(imageRef, task.limits.requeueTimeoutMs, signal);
  } catch (error) {
    signal.throwIfAborted();
    const after = await task.images.show(imageRef, signal);
    if (after?.status !== 'saving') return after;
    throw new TemporarilyUnavailableError(messageOf(error), { retryable: true }, error);
  }
}

/**
 * Whether what is at a place outside the image service may be of our upload: nothing was there when we noted `formatsSet`,
 * and it is as long as our image, or, on a server that may write in place, shorter and without a proof.
 */
function isOurs(task: SnapshotTask, { position, imageRef }: SnapshotDiskRow, { size, os_hash_value: digest }: Image, sizeBytes: number | null): boolean {
  const isNoted = (task.snapshot.disks.find((disk) => disk.position === position)?.formatsSet.length ?? 0) > 0;
  if (!isDestination(imageRef) || !isNoted || size === null) return false;
  return size === sizeBytes || (digest === null && parseImageRef(imageRef).kind === 'https' && (sizeBytes === null || size < sizeBytes));
}

/** Runs an upload. Whoever was faster than it has put something of their own there: nothing at that place is ours then. */
export async function notingTaken(task: SnapshotTask, disk: SnapshotDiskRow, upload: () => Promise<void>): Promise<void> {
  try {
    await upload();
  } catch (error) {
    if (error instanceof MetalshotError && error.data['taken'] === true) await noneLeft(task, disk);
    throw error;
  }
}

async function tryUpload(task: SnapshotTask, disk: SnapshotDiskRow, speed: UploadSpeed): Promise<void> {
  const { sizeBytes } = disk;
  if (sizeBytes === null) throw new OperationFailedError(`no size is known of ${disk.imageName}`);
  if ((await prepareHolder(task, disk, sizeBytes, task.signal)) === 'active') {
    await confirm(task, disk); // it was relayed, or an earlier try got through although its reply was lost
    return;
  }
  const file = await task.share.received(task.snapshot.uuid, disk.imageName);
  if (!file) throw new OperationFailedError(`the intermediate image ${disk.imageName} is gone from the spool`);
  await task.saveSnapshot({ step: 'uploading to the image service', bytesDone: 0, bytesTotal: file.sizeBytes, progressAt: new Date() });
  const startedAt = performance.now();
  const progress = new ThrottledProgress<number>((bytesDone) => task.saveSnapshot({ bytesDone, progressAt: new Date() }), task.log);
  try {
    await notingTaken(task, disk, () => task.images.uploadFile(disk.imageRef, file.path, file.sizeBytes, { signal: task.signal, onProgress: (bytesSent) => progress.note(bytesSent) }));
    speed.note(file.sizeBytes, performance.now() - startedAt);
  } finally {
    await progress.settle();
  }
  await confirm(task, disk);
}

/** What the image service computed against what the agent sent. */
async function confirm(task: SnapshotTask, { imageRef, imageName, sizeBytes, osHashValue }: SnapshotDiskRow): Promise<void> {
  if (sizeBytes === null || osHashValue === null) throw new OperationFailedError(`no size and digest are known of ${imageName}`);
  await task.images.verify(imageRef, { sizeBytes, osHashValue }, task.signal);
}

async function setMissingFormats(task: SnapshotTask, disk: SnapshotDiskRow, image: Image, signal: AbortSignal): Promise<void> {
  const missing = (['disk_format', 'container_format'] as const).filter((name) => image[name] === null);
  if (missing.length === 0) return;
  await task.saveDisk(disk.position, { formatsSet: [...missing] });
  await task.images.setFormats(disk.imageRef, Object.fromEntries(missing.map((name) => [name, FORMATS[name]])), signal);
}

/**
 * Leaves the holder as it was found. One that is `active` with other data than was captured must not be taken for a
 * snapshot by anybody: it is deactivated, and named.
 * @throws MetalshotError when the image service can not be asked, or an image stays behind.
 */
export async function resetHolder(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  if (disk.sizeBytes === null && disk.formatsSet.length === 0) return; // nothing was ever sent to it
  const image = await showSettled(task, disk, task.signal);
  if (!image) return noneLeft(task, disk);
  if (image.status === 'active') {
    const isWhole = disk.osHashValue !== null && image.os_hash_value === disk.osHashValue; // the upload itself had succeeded
    if (!isWhole) await task.images.deactivate(disk.imageRef, task.signal, isOurs(task, disk, image, disk.sizeBytes));
    await noneLeft(task, disk); // formats belong to data
    if (isWhole) return;
    if ((await task.images.show(disk.imageRef, task.signal))?.status === 'queued') return; // a place outside the image service, which is free again
    throw new OperationFailedError(`image ${disk.imageRef} holds other data than was captured and was deactivated; delete it`);
  }
  if (image.status === 'queued' && disk.formatsSet.length > 0) {
    await task.images.setFormats(disk.imageRef, Object.fromEntries(disk.formatsSet.map((name) => [name, null])), task.signal);
    await noneLeft(task, disk);
  }
}

/** What is not noted here is taken back later, as long as it takes (workflow/holder-formats.ts). */
const noneLeft = (task: SnapshotTask, { position }: SnapshotDiskRow): Promise<void> => task.saveDisk(position, { formatsSet: [] });
