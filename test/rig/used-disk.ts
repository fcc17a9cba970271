import { open } from 'node:fs/promises';
import type { Disk } from '../../demo/disk.ts';

const MIB = 1024 ** 2;

/** A sparse disk that somebody used before: what it holds at its beginning, here and there, and at its end must not show through an image. */
export async function makeUsedDisk(path: string, sizeBytes: number): Promise<Disk> {
  const file = await open(path, 'wx');
  try {
    await file.truncate(sizeBytes);
    const old = Buffer.alloc(MIB, 'data of an earlier owner ');
    for (const at of [0, 3 * MIB, sizeBytes / 4, sizeBytes / 2, sizeBytes - MIB]) await file.write(old, 0, old.length, at);
  } finally {
    await file.close();
  }
  return { path, sizeBytes, fileSystem: { offsetBytes: 0, sizeBytes: 0 }, content: new Map() };
}
