import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { pipeline, Writable, type Readable } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { imageProofSchema, meterOf, type ImageProof } from '../../../protocol/image-proof.ts';
import { ProvenEnd, type EndProof } from '../../../protocol/proven-end.ts';
import type { SnapshotDiskRow } from '../../db/rows.ts';
import type { SnapshotTask } from '../interfaces.ts';

/** The file of an image on the spool. */
export interface SpooledImage {
  path: string;
  sizeBytes: number;
  /** What the agent says of it. */
  proof: ImageProof;
}

const READ_SIZE_BYTES = 256 * 1024;

/** @throws OperationFailedError when the agent has told nothing that the image could be compared with. */
export function reportedProof({ imageName, proof }: Readonly<SnapshotDiskRow>): ImageProof {
  const told = imageProofSchema.safeParse(proof);
  if (!told.success) throw new OperationFailedError(`The agent has not reported what ${imageName} is proven by`);
  return told.data;
}

/** @throws OperationFailedError when it is not there any more, or not with the length that the agent has sent. */
export async function spooledImage(task: SnapshotTask, disk: SnapshotDiskRow): Promise<SpooledImage> {
  const file = await task.share.received(task.snapshot.uuid, disk.imageName);
  if (!file) throw new OperationFailedError(`the intermediate image ${disk.imageName} is gone from the spool`, { retryable: false });
  if (file.sizeBytes !== disk.sizeBytes) throw new OperationFailedError(`the intermediate image ${disk.imageName} has ${file.sizeBytes} bytes on the spool, the agent sent ${disk.sizeBytes}: it was changed since it came`, { retryable: false });
  return { path: file.path, sizeBytes: file.sizeBytes, proof: reportedProof(disk) };
}

/**
 * Its data, whose end comes only when they still are what the agent has sent: what a disk has changed since is never uploaded
 * whole. Destroyed early it closes the file.
 * @param onDigest told the sha512 (hex) of the data once they are proven, before their end comes; absent: none is made.
 */
export function readSpooled({ path, sizeBytes, proof }: SpooledImage, onDigest?: EndProof['onDigest']): Readable {
  const check = (found: string): void => {
    if (found !== proof.value) throw new OperationFailedError(`${basename(path)} on the share has ${proof.algo} ${found}, the agent reports ${proof.value}: the data was changed on its way, or since`, { retryable: false });
  };
  const end = new ProvenEnd(sizeBytes, { meter: meterOf(proof), check, ...(onDigest ? { onDigest } : {}) });
  return pipeline(createReadStream(path, { highWaterMark: READ_SIZE_BYTES }), end, () => undefined); // whoever reads is told of an error
}

/** For what is found out while data are read. @throws what the data fail with. */
export async function readThrough(data: Readable, signal: AbortSignal): Promise<void> {
  await piped(data, new Writable({ write: (_chunk, _encoding, done) => done() }), { signal });
}
