import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { OperationFailedError } from '../../protocol/errors.ts';

export interface ImageFacts {
  sizeBytes: number;
  virtualSizeBytes: number;
  sha512: string;
}

const CHUNK_BYTES = 4 * 1024 * 1024;
/** QEMU's docs/interop/qcow2.txt: magic "QFI\xfb" at 0, the disk's size (big-endian, 64 bits) at 24. */
const QCOW2_MAGIC = 0x514649fb;
const QCOW2_SIZE_OFFSET = 24;

/**
 * Size, virtual size and sha512 of a finished qcow2 file. The file may be deleted by its owner once this has opened it.
 * @param onProgress called with the bytes that have been digested.
 */
export async function digestImage(path: string, signal: AbortSignal, onProgress: (bytesDone: number) => void): Promise<ImageFacts> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha512');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let sizeBytes = 0;
    let virtualSizeBytes: number | undefined;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, sizeBytes);
      if (bytesRead === 0) break;
      virtualSizeBytes ??= readVirtualSize(chunk.subarray(0, bytesRead), path);
      hash.update(chunk.subarray(0, bytesRead));
      sizeBytes += bytesRead;
      onProgress(sizeBytes);
    }
    if (virtualSizeBytes === undefined) throw new OperationFailedError(`${path} is empty: expected a qcow2 image`);
    return { sizeBytes, virtualSizeBytes, sha512: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

function readVirtualSize(head: Buffer, path: string): number {
  if (head.length < QCOW2_SIZE_OFFSET + 8 || head.readUInt32BE(0) !== QCOW2_MAGIC) throw new OperationFailedError(`${path} has no qcow2 header`);
  return Number(head.readBigUInt64BE(QCOW2_SIZE_OFFSET));
}
