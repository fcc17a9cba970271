import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { allocatePages, DirectFile } from '../../protocol/direct-io.ts';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import type { Extent } from '../qcow2/extents.ts';

/** Digest of the beginning of a part whose bytes are not all in the image. */
export interface FileSystemMark extends Extent {
  what: string;
  sha256: string;
}

/** Superblocks of ext and XFS and the header of a swap area are in it. */
const MARK_BYTES = 64 * 1024;

/** To be read before the map is made. @throws when the disk cannot be read. */
export async function readMark(path: string, { what, offsetBytes, sizeBytes }: Extent & { what: string }): Promise<FileSystemMark> {
  const range = { offsetBytes, sizeBytes: Math.min(MARK_BYTES, sizeBytes) };
  return { what, ...range, sha256: await digestOf(path, range) };
}

/**
 * After a capture: the parts whose map may no longer be true, because their superblock changed since (mounting ext
 * changes counters, times and flags in it at once; XFS may be mounted for a while before its superblock shows it).
 * @throws when the disk cannot be read.
 */
export async function findChangedParts(device: Pick<BlockDevice, 'name' | 'sizeBytes'>, marks: readonly FileSystemMark[]): Promise<string[]> {
  const changed: string[] = [];
  for (const mark of marks) if ((await digestOf(device.name, mark)) !== mark.sha256) changed.push(mark.what);
  return changed;
}

/** Past the page cache, which may still have what another writer (through a partition's device, or from another machine) has long changed. */
async function digestOf(path: string, { offsetBytes, sizeBytes }: Extent): Promise<string> {
  const memory = allocatePages(MARK_BYTES).subarray(0, sizeBytes);
  const disk = await DirectFile.open(path, constants.O_RDONLY);
  try {
    for (let done = 0; done < sizeBytes; ) {
      const bytesRead = await disk.read(memory.subarray(done), offsetBytes + done);
      if (bytesRead === 0) throw new OperationFailedError(`${path} ends at ${offsetBytes + done}: expected ${sizeBytes - done} bytes more`);
      done += bytesRead;
    }
    return createHash('sha256').update(memory).digest('hex');
  } finally {
    await disk.close();
  }
}
