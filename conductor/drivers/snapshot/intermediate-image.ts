import { OperationFailedError } from '../../../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { Outcome, SnapshotTask } from '../interfaces.ts';
import { readSpooled, readThrough, reportedProof } from './spooled-image.ts';

/**
 * Compares what the share holds with what the agent reports: size, and digest of the image in davfs2's cache or, of a stream,
 * the authentication code of what was sent. A cut image has a success code, a place on the share and a clean `qemu-img check` too.
 */
export async function confirmIntermediateImage(task: SnapshotTask): Promise<Outcome> {
  await task.saveSnapshot({ step: null, bytesDone: null, bytesTotal: null }); // the agent's figures say nothing of what follows
  for (const disk of task.snapshot.disks) {
    if (disk.receivedBy === 'relay') await confirmRelayed(task, disk);
    else await confirmSpooled(task, disk);
  }
  return 'done';
}

async function confirmSpooled(task: SnapshotTask, disk: SnapshotDiskRow): Promise<void> {
  const { imageName, position } = disk;
  const file = await task.share.received(task.snapshot.uuid, imageName);
  if (!file) throw new OperationFailedError(`The agent reported success, but the share has not received ${imageName}`);
  if (file.sizeBytes !== disk.sizeBytes) throw new OperationFailedError(`The share holds ${file.sizeBytes} bytes of ${imageName}, the agent sent ${disk.sizeBytes}: the transfer was cut`);
  const proof = reportedProof(disk);
  if (file.proof !== proof.value) await readThrough(readSpooled({ ...file, proof }), task.signal); // received before a restart, or as another sending of the same image
  await task.saveDisk(position, { receivedBy: 'spool', ...(proof.algo === IMAGE_HASH_ALGO ? {} : { osHashAlgo: null, osHashValue: null }) }); // made when it is uploaded; what is known is of a relay that failed
}

/** Nothing is on the spool: the image service itself says what it has, and that has to be what came with the agent's code (image-receiver.ts). */
async function confirmRelayed(task: SnapshotTask, { imageName, imageRef, sizeBytes, osHashValue }: SnapshotDiskRow): Promise<void> {
  if (sizeBytes === null || osHashValue === null) throw new OperationFailedError(`Size and digest of ${imageName}, which went straight to the image service, are not known`);
  await task.images.verify(imageRef, { sizeBytes, osHashValue }, task.signal);
}
