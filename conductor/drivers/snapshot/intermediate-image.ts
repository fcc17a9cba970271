import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';

/**
 * Compares what the share received with what the agent reported out of band. Size and digest are the only proof: a cut
 * image has a success code, a place on the share and a clean `qemu-img check` too.
 */
export async function confirmIntermediateImage(task: SnapshotTask): Promise<Outcome> {
  await task.saveSnapshot({ step: null, bytesDone: null, bytesTotal: null }); // the agent's figures say nothing of what follows
  for (const disk of task.snapshot.disks) {
    const file = await task.share.received(task.snapshot.uuid, disk.imageName);
    if (!file) throw new OperationFailedError(`The agent reported success, but the share has not received ${disk.imageName}`);
    if (file.sizeBytes !== disk.sizeBytes) throw new OperationFailedError(`The share holds ${file.sizeBytes} bytes of ${disk.imageName}, the agent sent ${disk.sizeBytes}: the transfer was cut`);
    const digest = createHash(IMAGE_HASH_ALGO);
    await pipeline(createReadStream(file.path, { highWaterMark: 1024 * 1024 }), digest, { signal: task.signal });
    const found = digest.digest('hex');
    if (found !== disk.osHashValue) throw new OperationFailedError(`${disk.imageName} on the share has ${IMAGE_HASH_ALGO} ${found}, the agent sent ${disk.osHashValue}: the data was changed on its way`);
  }
  return 'done';
}
