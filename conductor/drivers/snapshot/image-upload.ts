import { setTimeout as sleep } from 'node:timers/promises';
import { IMAGE_HASH_ALGO, type Image } from '../../../protocol/image.ts';
import { MetalshotError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { Outcome, SentImage, SnapshotTask } from '../interfaces.ts';
import { ThrottledProgress } from '../throttled-progress.ts';
import { recordManifest } from './manifest.ts';
import { readSpooled, readThrough, spooledImage } from './spooled-image.ts';
import type { UploadSpeed } from './upload-speed.ts';

const FORMATS = { disk_format: 'qcow2', container_format: 'bare' } as const;

/** Uploads from the spool as often as it takes: a hiccup of the image service never costs a second downtime. */
export async function uploadImage(task: SnapshotTask, speed: UploadSpeed): Promise<Outcome> {
  for (const disk of task.snapshot.disks) {
    await uploadDisk(task, disk, speed);
    await recordManifest(task, latest(task, disk));
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

/**
 * Makes the holder ready to receive data; `active`: it has some already. What is half-made there by us is removed.
 * @throws OperationFailedError for one that receives none any more, TemporarilyUnavailableError while it is `saving`.
 */
export async function prepareHolder(task: SnapshotTask, disk: SnapshotDiskRow, signal: AbortSignal): Promise<'ready' | 'active'> {
  const image = await settle(task, disk, signal);
  if (!image) throw new OperationFailedError(`image ${disk.imageRef} was deleted while the snapshot was taken`, { retryable: false });
  if (image.status === 'active') return 'active';
  if (image.status !== 'queued') throw new OperationFailedError(`image ${disk.imageRef} became ${image.status} while the snapshot was taken: somebody has changed it, or put something beside it, and it is left as it is. Name another one, or remove what is there`, { retryable: false, imageStatus: image.status });
  await setMissingFormats(task, disk, image, signal);
  return 'ready';
}

const settle = (task: SnapshotTask, disk: SnapshotDiskRow, signal: AbortSignal): Promise<Image | null> =>
  task.images.settle(disk.imageRef, { timeoutMs: task.limits.requeueTimeoutMs, ours: sentTo(task, disk), signal });

/** Formats are noted where there were no data, and the size before anything is sent: without both, nothing there is ours. */
function sentTo(task: SnapshotTask, disk: SnapshotDiskRow): SentImage | null {
  const { formatsSet, sizeBytes } = latest(task, disk);
  return formatsSet.length > 0 && sizeBytes !== null ? { sizeBytes } : null;
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
  if ((await prepareHolder(task, disk, task.signal)) === 'active') {
    await confirm(task, disk); // it was relayed, or an earlier try got through although its reply was lost
    return;
  }
  const image = await spooledImage(task, disk);
  const { path: name, sizeBytes } = image;
  await task.saveSnapshot({ step: 'uploading to the image service', bytesDone: 0, bytesTotal: sizeBytes, progressAt: new Date() });
  const startedAt = performance.now();
  const progress = new ThrottledProgress<number>((bytesDone) => task.saveSnapshot({ bytesDone, progressAt: new Date() }), task.log);
  try {
    const source = { name, open: () => readSpooled(image, digestNoter(task, disk)) };
    await notingTaken(task, disk, () => task.images.upload(disk.imageRef, source, sizeBytes, { signal: task.signal, onProgress: (bytesSent) => progress.note(bytesSent) }));
    speed.note(sizeBytes, performance.now() - startedAt);
  } finally {
    await progress.settle();
  }
  await confirm(task, disk);
}

/** As tasks save what they learn, what they were called with gets old. */
const latest = (task: SnapshotTask, disk: SnapshotDiskRow): SnapshotDiskRow => task.snapshot.disks.find(({ position }) => position === disk.position) ?? disk;

/** Notes the digest of what is read of the spool before the image service has the last of it; undefined: it is known. */
function digestNoter(task: SnapshotTask, disk: SnapshotDiskRow): ((osHashValue: string) => Promise<void>) | undefined {
  if (latest(task, disk).osHashValue !== null) return undefined;
  return (osHashValue) => task.saveDisk(disk.position, { osHashAlgo: IMAGE_HASH_ALGO, osHashValue });
}

/** What the image service computed against what the agent sent. */
async function confirm(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  const note = digestNoter(task, disk);
  if (note) await readThrough(readSpooled(await spooledImage(task, disk), note), task.signal); // a relay whose answer was lost came there before
  const { imageRef, imageName, sizeBytes, osHashValue } = latest(task, disk);
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
 * Leaves the holder as it was found. One that is `active` with data that are not proven to be what was captured must not be taken for a
 * snapshot by anybody: it is deactivated, and named.
 * @throws MetalshotError when the image service can not be asked, or an image stays behind.
 */
export async function resetHolder(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  if (disk.sizeBytes === null && disk.formatsSet.length === 0) return; // nothing was ever sent to it
  const { imageRef, formatsSet } = disk;
  const image = await settle(task, disk, task.signal);
  const isOther = image?.status === 'active' && !isWhatWasCaptured(disk, image); // otherwise the upload itself had succeeded
  if (isOther) await task.images.deactivate(imageRef, { ours: sentTo(task, disk), signal: task.signal });
  if (image?.status === 'queued' && formatsSet.length > 0) await task.images.setFormats(imageRef, Object.fromEntries(formatsSet.map((name) => [name, null])), task.signal);
  await noneLeft(task, disk); // formats belong to data
  if (isOther && (await task.images.show(imageRef, task.signal))?.status === 'deactivated') throw new OperationFailedError(`image ${imageRef} holds data that are not proven to be what was captured and was deactivated; delete it`);
}

/** A digest that is known before the agent has reported is of a relay whose sender may have missed the answer, and sent something else since. */
export const isWhatWasCaptured = ({ proof, osHashValue }: Readonly<SnapshotDiskRow>, image: Image): boolean => proof !== null && osHashValue !== null && image.os_hash_value === osHashValue;

/** What is not noted here is taken back later, as long as it takes (workflow/holder-formats.ts). */
const noneLeft = (task: SnapshotTask, { position }: SnapshotDiskRow): Promise<void> => task.saveDisk(position, { formatsSet: [] });
