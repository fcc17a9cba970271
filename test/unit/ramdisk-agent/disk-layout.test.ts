import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DiskReader } from '../../../ramdisk-agent/disk-layout/disk-reader.ts';
import { readLvmMember } from '../../../ramdisk-agent/disk-layout/lvm-member.ts';

const SIZE_BYTES = 1024 ** 2;
const METADATA_AREA = { offset: 4096, size: 65_536 };

/** A physical volume whose metadata are said to be at a place in their area. */
function physicalVolume(metadataOffset: bigint): Buffer {
  const disk = Buffer.alloc(SIZE_BYTES);
  disk.write('LABELONE', 512, 'latin1');
  disk.write('LVM2 001', 512 + 24, 'latin1');
  disk.writeUInt32LE(32, 512 + 20);
  disk.write('A'.repeat(32), 512 + 32, 'latin1');
  disk.writeBigUInt64LE(BigInt(METADATA_AREA.offset), 512 + 32 + 56);
  disk.writeBigUInt64LE(BigInt(METADATA_AREA.size), 512 + 32 + 64);
  disk.write(' LVM2 x[5A%r0N*>', METADATA_AREA.offset + 4, 'latin1');
  disk.writeBigUInt64LE(metadataOffset, METADATA_AREA.offset + 40);
  disk.writeBigUInt64LE(100n, METADATA_AREA.offset + 48);
  return disk;
}

test.each([[1_000_000n], [65_536n], [2n ** 64n - 1n]])('damaged metadata of a physical volume (offset %s behind its area) are no member of anything', async (offset) => {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-layout-'));
  try {
    const path = join(directory, 'disk.img');
    await writeFile(path, physicalVolume(offset));
    expect(await DiskReader.using(path, SIZE_BYTES, (disk) => readLvmMember(disk, { name: 'the whole disk', startBytes: 0, sizeBytes: SIZE_BYTES }))).toBeNull();
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a piece is read whole, also where one read gives less than was asked for', async () => {
  const source = '/proc/kallsyms'; // a file of the kernel that gives a page at a time
  const length = 20_000;
  const expected = (await readFile(source)).subarray(0, length);
  expect((await DiskReader.using(source, Number.MAX_SAFE_INTEGER, (disk) => disk.read(0, length))).equals(expected)).toBe(true);
});
