import { createHash } from 'node:crypto';
import type { BlockDevice } from '../devices/block-device.ts';
import { DiskReader } from '../disk-layout/disk-reader.ts';
import type { Extent } from '../qcow2/extents.ts';

/** Digest of the beginning of a part whose bytes are not all in the image. */
export interface FileSystemMark extends Extent {
  what: string;
  sha256: string;
}

/** Superblocks of ext and XFS and the header of a swap area are in it. */
const MARK_BYTES = 64 * 1024;

/** To be read before the map is made. @throws when the disk cannot be read. */
export async function readMark(disk: DiskReader, { what, offsetBytes, sizeBytes }: Extent & { what: string }): Promise<FileSystemMark> {
  const range = { offsetBytes, sizeBytes: Math.min(MARK_BYTES, sizeBytes) };
  return { what, ...range, sha256: await digestOf(disk, range) };
}

/**
 * After a capture: the parts whose map may no longer be true, because their superblock changed since (mounting ext
 * changes counters, times and flags in it at once; XFS may be mounted for a while before its superblock shows it).
 * @throws when the disk cannot be read.
 */
export async function findChangedParts(device: Pick<BlockDevice, 'name' | 'sizeBytes'>, marks: readonly FileSystemMark[]): Promise<string[]> {
  return DiskReader.using(device.name, device.sizeBytes, async (disk) => {
    const changed: string[] = [];
    for (const mark of marks) if ((await digestOf(disk, mark)) !== mark.sha256) changed.push(mark.what);
    return changed;
  });
}

const digestOf = async (disk: DiskReader, { offsetBytes, sizeBytes }: Extent): Promise<string> => createHash('sha256').update(await disk.read(offsetBytes, sizeBytes)).digest('hex');
