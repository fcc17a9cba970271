import { setTimeout as sleep } from 'node:timers/promises';
import type { Image } from '../../../protocol/image.ts';
import { MetalshotError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';
import { ThrottledProgress } from '../throttled-progress.ts';
import { recordManifest } from './manifest.ts';

const FORMATS = { disk_format: 'qcow2', container_format: 'bare' } as const;

/** Uploads from the spool as often as it takes: a hiccup of the image service never costs a second downtime. */
export async function uploadImage(task: SnapshotTask): Promise<Outcome> {
  for (const disk of task.snapshot.disks) {
    await uploadDisk(task, disk);
    await recordManifest(task, disk);
  }
  return 'done';
}

async function uploadDisk(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  let pauseMs = task.limits.uploadRetryPauseMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await tryUpload(task, disk);
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

async function tryUpload(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  const found = await task.images.show(disk.imageRef, task.signal);
  if (!found) throw new OperationFailedError(`image ${disk.imageRef} was deleted while the snapshot was taken`);
  if (found.status === 'active') {
    await confirm(task, disk); // an earlier try got through although its reply was lost
    return;
  }
  await task.images.waitUntilQueued(disk.imageRef, task.limits.requeueTimeoutMs, task.signal);
  await setMissingFormats(task, disk, found);
  const file = await task.share.received(task.snapshot.uuid, disk.imageName);
  if (!file || disk.sizeBytes === null) throw new OperationFailedError(`the intermediate image ${disk.imageName} is gone from the spool`);
  await task.saveSnapshot({ step: 'uploading to the image service', bytesDone: 0, bytesTotal: file.sizeBytes, progressAt: new Date() });
  const progress = new ThrottledProgress<number>((bytesDone) => task.saveSnapshot({ bytesDone, progressAt: new Date() }), task.log);
  try {
    await task.images.uploadFile(disk.imageRef, file.path, file.sizeBytes, { signal: task.signal, onProgress: (bytesSent) => progress.note(bytesSent) });
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

async function setMissingFormats(task: SnapshotTask, disk: SnapshotDiskRow, image: Image): Promise<void> {
  const missing = (['disk_format', 'container_format'] as const).filter((name) => image[name] === null);
  if (missing.length === 0) return;
  await task.saveDisk(disk.position, { formatsSet: [...missing] });
  await task.images.setFormats(disk.imageRef, Object.fromEntries(missing.map((name) => [name, FORMATS[name]])), task.signal);
}

/**
 * Leaves the holder as it was found. One that is `active` with other data than was captured must not be taken for a
 * snapshot by anybody: it is deactivated, and named.
 * @throws MetalshotError when the image service can not be asked, or an image stays behind.
 */
export async function resetHolder(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  if (disk.sizeBytes === null && disk.formatsSet.length === 0) return; // nothing was ever sent to it
  let image = await task.images.show(disk.imageRef, task.signal);
  if (image?.status === 'saving') image = await task.images.waitUntilQueued(disk.imageRef, task.limits.requeueTimeoutMs, task.signal);
  if (!image) return noneLeft(task, disk);
  if (image.status === 'active') {
    await noneLeft(task, disk); // formats belong to data
    if (image.os_hash_value === disk.osHashValue) return; // whole and verified: the upload itself had succeeded
    await task.images.deactivate(disk.imageRef, task.signal);
    throw new OperationFailedError(`image ${disk.imageRef} holds other data than was captured and was deactivated; delete it`);
  }
  if (image.status === 'queued' && disk.formatsSet.length > 0) {
    await task.images.setFormats(disk.imageRef, Object.fromEntries(disk.formatsSet.map((name) => [name, null])), task.signal);
    await noneLeft(task, disk);
  }
}

/** What is not noted here is taken back later, as long as it takes (workflow/holder-formats.ts). */
const noneLeft = (task: SnapshotTask, { position }: SnapshotDiskRow): Promise<void> => task.saveDisk(position, { formatsSet: [] });
