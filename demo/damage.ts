import { open } from 'node:fs/promises';
import type { Disk } from './disk.ts';

const MIB = 1024 ** 2;
const PLACES = 3;

/** What a mistake does to a disk: boot record and partition table are gone, and parts of the file system are overwritten. @returns the bytes destroyed. */
export async function damageDisk({ path, fileSystem }: Disk): Promise<number> {
  const garbage = Buffer.alloc(2 * MIB, 'destroyed by mistake ');
  const file = await open(path, 'r+');
  try {
    await file.write(Buffer.alloc(MIB), 0, MIB, 0);
    for (let place = 0; place < PLACES; place += 1) await file.write(garbage, 0, garbage.length, fileSystem.offsetBytes + place * 16 * MIB);
  } finally {
    await file.close();
  }
  return MIB + PLACES * garbage.length;
}
