import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';

/**
 * Compares what the share holds with what the agent reports: size and digest of the image in davfs2's cache, or, of a stream, what
 * the share answered once the stream's code had proven it (webdav/proven-end.ts), which is read again from the disk when the conductor has
 * started anew since. A cut image has a success code, a place on the share and a clean `qemu-img check` too.
 */
export async function confirmIntermediateImage(task: SnapshotTask): Promise<Outcome> {
  await task.saveSnapshot({ step: null, bytesDone: null, bytesTotal: null }); // the agent's figures say nothing of what follows
  for (const disk of task.snapshot.disks) {
    if (disk.receivedBy === 'relay') {
      await confirmRelayed(task, disk);
      continue;
    }
    const file = await task.share.received(task.snapshot.uuid, disk.imageName);
    if (!file) throw new OperationFailedError(`The agent reported success, but the share has not received ${disk.imageName}`);
    if (file.sizeBytes !== disk.sizeBytes) throw new OperationFailedError(`The share holds ${file.sizeBytes} bytes of ${disk.imageName}, the agent sent ${disk.sizeBytes}: the transfer was cut`);
    const found = file.sha512 ?? (await digestFile(file.path, task.signal)); // digested as it came, and on the disk; read again only after a restart
    if (found !== disk.osHashValue) throw new OperationFailedError(`${disk.imageName} on the share has ${IMAGE_HASH_ALGO} ${found}, the agent reports ${disk.osHashValue}: the data was changed on its way, or since`);
    await task.saveDisk(disk.position, { receivedBy: 'spool' });
  }
  return 'done';
}

async function digestFile(path: string, signal: AbortSignal): Promise<string> {
  const digest = createHash(IMAGE_HASH_ALGO);
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), digest, { signal });
  return digest.digest('hex');
}

/** Nothing is on the spool: the image service itself says what it has, and that has to be what the agent sent. */
async function confirmRelayed(task: SnapshotTask, { imageName, imageRef, sizeBytes, osHashValue }: SnapshotDiskRow): Promise<void> {
  if (sizeBytes === null || osHashValue === null) throw new OperationFailedError(`The agent has not reported size and digest of ${imageName}`);
  await task.images.verify(imageRef, { sizeBytes, osHashValue }, task.signal);
}
