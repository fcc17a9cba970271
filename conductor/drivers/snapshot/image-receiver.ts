import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { streamImageProgressSchema } from '../../../protocol/agent-api.ts';
import { capturePredictionSchema, type CapturePrediction, type SnapshotOptions } from '../../../protocol/capture.ts';
import { deadline } from '../../../protocol/deadline.ts';
import { messageOf } from '../../../protocol/errors.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { ImageReceiver, SnapshotTask } from '../interfaces.ts';
import { notingTaken, prepareHolder } from './image-upload.ts';
import { RelayedImage } from './relayed-image.ts';
import { readThrough } from './spooled-image.ts';
import type { UploadSpeed } from './upload-speed.ts';

/** Of the capture's speed the image service has to reach this much for the server not to wait for it. */
const AS_FAST = 0.9;
const QUESTION_TIMEOUT_MS = 10_000;
/** Of the time without progress: the agent waits for our answer a little longer (ANSWER_PART of its stream-capture.ts) than we do for the image service's and for a look at the image behind that. */
const ANSWER_PART = 0.75;

/**
 * Decides, once an image's length is known, whether it goes straight to the image service or onto the spool first. The spool
 * is the safer way (an upload that fails costs no second downtime), the relay the one that needs no room and no second pass.
 */
export function chooseReceiver(task: SnapshotTask, disk: SnapshotDiskRow, storage: NonNullable<SnapshotOptions['intermediate_storage']>, speed: UploadSpeed): ImageReceiver {
  let relayFailed = false;
  return async (imageName, sizeBytes, spoolRefusal) => {
    if (imageName !== disk.imageName) return null;
    const reason = storage === 'relay' ? 'it was asked for' : storage === 'auto' ? (spoolRefusal ?? (await reasonToRelay(task, disk, sizeBytes, speed, relayFailed))) : null;
    if (reason === null) return null;
    task.log.info({ image: disk.imageRef, sizeBytes, reason }, 'the image goes straight to the image service');
    let digest = '';
    const writable = new RelayedImage(async (data, signal) => {
      const startedAt = performance.now();
      const isThere = (await prepareHolder(task, disk, signal)) === 'active';
      if (isThere) {
        await readThrough(data, signal);
        await task.images.verify(disk.imageRef, { sizeBytes, osHashValue: digest }, signal); // the answer to an earlier stream was lost, and its sender sends all of it again: the image has to be the same
      } else {
        await task.saveDisk(disk.position, { sizeBytes }); // from here on there may be something to clean up
        relayFailed = true; // unless it ends well
        const source = { name: 'the stream', open: () => data };
        await notingTaken(task, disk, () => task.images.upload(disk.imageRef, source, sizeBytes, { signal, answerTimeoutMs: ANSWER_PART * task.limits.stallTimeoutMs }));
        relayFailed = false;
      }
      await task.saveDisk(disk.position, { sizeBytes, receivedBy: 'relay', osHashAlgo: IMAGE_HASH_ALGO, osHashValue: digest });
      if (!isThere) speed.note(sizeBytes, performance.now() - startedAt);
    });
    return { writable, onDigest: (sha512) => (digest = sha512) };
  };
}

/** @param relayFailed an attempt did: then the spool, where there is room, which an image service in trouble costs no second attempt. */
async function reasonToRelay(task: SnapshotTask, { position }: SnapshotDiskRow, sizeBytes: number, speed: UploadSpeed, relayFailed: boolean): Promise<string | null> {
  if (task.snapshot.disks.find((disk) => disk.position === position)?.receivedBy === 'relay') return 'it was there already when its sender missed the answer';
  const roomBytes = (await task.share.freeBytes()) - task.limits.spoolReserveBytes;
  if (roomBytes < sizeBytes) return `the spool has room for ${Math.max(0, roomBytes)} bytes only`;
  const uploadBytesPerS = speed.bytesPerS;
  if (relayFailed || uploadBytesPerS === null) return null;
  const captureBytesPerS = await predictedSpeed(task);
  if (captureBytesPerS === null || uploadBytesPerS < AS_FAST * captureBytesPerS) return null;
  return `the image service takes ${Math.round(uploadBytesPerS / 1e6)} MB/s, as fast as the capture is expected to be`;
}

/** Bytes of the image a second, as the agent expects it; asked, because its last report may be older than its prediction. Null: not known. */
async function predictedSpeed({ snapshot, agent, node, log }: SnapshotTask): Promise<number | null> {
  let prediction: CapturePrediction | null | undefined = capturePredictionSchema.safeParse(snapshot.prediction).data;
  if (!prediction && snapshot.commandId !== null) {
    try {
      const report = await agent.status(node, snapshot.commandId, deadline(QUESTION_TIMEOUT_MS));
      prediction = streamImageProgressSchema.safeParse(report?.command_result).data?.prediction;
    } catch (error) {
      log.info({ error: messageOf(error) }, 'the agent does not tell how fast it expects to be'); // the spool is the safer way
    }
  }
  return prediction && prediction.duration_s > 0 ? prediction.image_bytes / prediction.duration_s : null;
}
