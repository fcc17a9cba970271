import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk } from '../../../demo/disk.ts';

const SIZE_BYTES = 1024 ** 2;

/** For a machine whose disk nobody reads: it only has to have one. */
export async function emptyDisk(directory: string, name = 'disk.img'): Promise<Disk> {
  const path = join(directory, name);
  const file = await open(path, 'wx');
  try {
    await file.truncate(SIZE_BYTES);
  } finally {
    await file.close();
  }
  return { path, sizeBytes: SIZE_BYTES, fileSystem: { offsetBytes: 0, sizeBytes: 0 }, content: new Map() };
}
