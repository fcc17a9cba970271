import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, jest, test } from '@jest/globals';
import type { DiskMap } from '../../../../ramdisk-agent/extent-map/disk-map.ts';
import { findChangedParts } from '../../../../ramdisk-agent/extent-map/file-system-marks.ts';
import { describePart, type PartDecision } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import { makeDisk, mapOf, MIB, mounted, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(120_000);

const RANGE = { offsetBytes: 2 * MIB, sizeBytes: 320 * MIB };
const DISK_BYTES = 324 * MIB;
const TABLE = `label: gpt\nstart=4096, size=${RANGE.sizeBytes / 512}\n`;

/** A disk with one partition, `prepare` is handed a loop device over it. */
const onPartition = (prepare: (device: string) => Promise<unknown>, use: (map: DiskMap, partition: PartDecision, path: string) => Promise<void> | void): Promise<void> =>
  withDirectory(async (directory) => {
    const path = await makeDisk(join(directory, 'disk.img'), DISK_BYTES, TABLE);
    await onLoop(path, RANGE, prepare);
    const map = await mapOf(path, DISK_BYTES);
    await use(map, map.parts.find(({ what }) => what === 'partition 1')!, path);
  });

async function writeAt(path: string, offsetBytes: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, offsetBytes);
  await file.sync();
  await file.close();
}

const makeExt4 = (device: string, ...options: string[]) => run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', ...options, device);
const setSuperblock = (device: string, field: string, value: string) => run('debugfs', '-w', '-R', `ssv ${field} ${value}`, device);

/** mdp_superblock_1 of include/uapi/linux/raid/md_p.h, near the end of what it is in. */
async function writeMdSuperblock(path: string, sizeBytes: number): Promise<void> {
  const block = Buffer.alloc(256);
  block.writeUInt32LE(0xa92b4efc, 0);
  block.writeUInt32LE(1, 4);
  await writeAt(path, Math.floor((sizeBytes - 8192) / 4096) * 4096, block);
}

describe('a file system with something wrong is read in full', () => {
  test.each<[string, (device: string) => Promise<unknown>, Partial<PartDecision>]>([
    ['ext4 with recorded errors', async (device) => [await makeExt4(device), await setSuperblock(device, 'state', '3')], { content: 'ext4', state: 'damaged', reason: 'its state is "clean with errors"' }],
    ['ext4 with a wrong checksum', async (device) => [await makeExt4(device), await writeAt(device, 1024 + 0x58, Buffer.alloc(2, 1))], { content: 'ext4', state: 'unknown', reason: expect.stringContaining('The ext2 superblock is corrupt') as unknown as string }],
    ['ext4 larger than its partition', async (device) => [await makeExt4(device, '-O', '^metadata_csum'), await setSuperblock(device, 'blocks_count', '90000')], { content: 'ext4', state: 'damaged', reason: 'its superblock says 368640000 bytes, there are 335544320' }],
    ['ext4 whose superblock counts otherwise than its bitmaps', async (device) => [await makeExt4(device, '-O', '^metadata_csum'), await setSuperblock(device, 'free_blocks_count', '100')], { content: 'ext4', reason: expect.stringMatching(/used blocks where its superblock says|partclone.extfs failed .*free count err/) as unknown as string }],
    ['ext4 with clusters of blocks', (device) => makeExt4(device, '-O', 'bigalloc'), { content: 'ext4', state: 'unknown', reason: 'it has features of which nothing is known here: bigalloc' }],
    ['ext4 with its journal elsewhere', async (device) => [await makeExt4(device, '-O', '^has_journal'), await setSuperblock(device, 'journal_uuid', '11111111-2222-3333-4444-555555555555'), await run('debugfs', '-w', '-R', 'feature has_journal', device)], { content: 'ext4', reason: 'its journal is on another device' }],
    ['xfs with a wrong checksum', async (device) => [await run('mkfs.xfs', '-q', device), await writeAt(device, 150, Buffer.from('ZZ'))], { content: 'xfs', state: 'damaged', reason: expect.stringContaining('CRC error') as unknown as string }],
    ['xfs whose superblock counts fewer free blocks than its trees', async (device) => [await run('mkfs.xfs', '-q', device), await run('xfs_db', '-x', '-c', 'sb 0', '-c', 'write fdblocks 5000', device)], { content: 'xfs', state: 'damaged', reason: expect.stringMatching(/^partclone.xfs finds \d+ used blocks where its superblock says 76920$/) as unknown as string }],
    ['xfs without checksums', (device) => run('mkfs.xfs', '-q', '-m', 'crc=0', device), { content: 'xfs', reason: 'it is of a version without checksums' }],
    ['xfs that asks for a repair', async (device) => [await run('mkfs.xfs', '-q', device), await run('xfs_db', '-x', '-c', 'sb 0', '-c', 'write features_incompat 0x1b', device)], { content: 'xfs', state: 'damaged', reason: 'it asks for a repair' }],
  ])('%s', (_what, prepare, expected) =>
    onPartition(prepare, (map, partition) => {
      expect(partition).toMatchObject({ ...expected, ...RANGE, treatment: 'read in full', usedBytes: RANGE.sizeBytes });
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
    }),
  );
});

describe('what cannot be looked into is read in full', () => {
  const fixture = async (name: string): Promise<Buffer> => gunzipSync(await readFile(new URL(`../../../unit/ramdisk-agent/fixtures/${name}.gz`, import.meta.url)));
  test.each<[string, (device: string) => Promise<unknown>, string | null, string]>([
    ['a physical volume', async (device) => writeAt(device, 0, await fixture('lvm-single-pv')), 'LVM2_member', 'logical volumes are not looked into'],
    ['btrfs', async (device) => writeAt(device, 64 * 1024, await fixture('btrfs-single-device')), 'btrfs', 'no test is known here that tells a clean btrfs from a dirty one'],
    ['vfat', (device) => run('mkfs.vfat', device), 'vfat', 'no test is known here that tells a clean vfat from a dirty one'],
    ['an encrypted volume', (device) => writeAt(device, 0, Buffer.from('LUKS\xba\xbe\0\x01', 'latin1')), 'crypto_LUKS', 'it is encrypted'],
    ['one half of a mirror with ext4 in it', async (device) => [await makeExt4(device), await writeMdSuperblock(device, RANGE.sizeBytes)], 'ext4 and linux_raid_member', 'several things claim it'],
  ])('%s', (_what, prepare, content, reason) =>
    onPartition(prepare, (map, partition) => {
      expect(partition).toMatchObject({ content, state: 'unknown', treatment: 'read in full', reason });
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
    }),
  );

  test('a whole disk that is a member of an array, whatever partitions it shows', () =>
    withDirectory(async (directory) => {
      const path = await makeDisk(join(directory, 'disk.img'), DISK_BYTES, TABLE);
      await onLoop(path, RANGE, (device) => makeExt4(device));
      await writeMdSuperblock(path, DISK_BYTES);
      const map = await mapOf(path, DISK_BYTES);
      expect(map.parts).toMatchObject([{ what: 'the whole disk', treatment: 'read in full', reason: 'its partition table (gpt) is not all that claims it: gpt, linux_raid_member' }]);
    }));
});

describe('swap', () => {
  test('is left out but for its header', () =>
    onPartition((device) => run('mkswap', device), (map, partition) => {
      expect(partition).toMatchObject({ content: 'swap', state: 'clean', treatment: 'left out', usedBytes: 64 * 1024 });
      expect(describePart(partition)).toBe('partition 1: swap, clean, 320 MiB, left out but for its header');
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: RANGE.offsetBytes + 64 * 1024 }, { offsetBytes: RANGE.offsetBytes + RANGE.sizeBytes, sizeBytes: 2 * MIB }]);
    }));

  test('with pages of 64 KiB is left out too, and what lies behind it is not', () =>
    onPartition((device) => run('mkswap', '--pagesize', '65536', device, String(256 * 1024)), (map, partition) => {
      expect(partition).toMatchObject({ treatment: 'left out', usedBytes: 64 * 1024 + 64 * MIB });
      expect(map.extents.at(-1)).toEqual({ offsetBytes: RANGE.offsetBytes + 256 * MIB, sizeBytes: 66 * MIB });
    }));

  const sign = (signature: string) => async (device: string): Promise<void> => {
    await run('mkswap', device);
    await writeAt(device, 4096 - 10, Buffer.from(signature.padEnd(10, '\0'), 'latin1'));
  };
  test.each([['S1SUSPEND'], ['S2SUSPEND'], ['ULSUSPEND'], ['LINHIB0001'], ['\xed\xc3\x02\xe9\x98\x56\xe5\x0c']])('of a hibernated system (%j) is read in full', (signature) =>
    onPartition(signature.startsWith('\xed') ? async (device) => [await run('mkswap', device), await writeAt(device, 0, Buffer.from(signature, 'latin1'))] : sign(signature), (_map, partition) => {
      expect(partition).toMatchObject({ treatment: 'read in full', state: 'unknown' });
      expect(partition.reason).toMatch(/it holds the memory of a hibernated system|several things claim it/);
    }));

  test('of an unknown version is read in full', () =>
    onPartition(async (device) => [await run('mkswap', device), await writeAt(device, 1024, Buffer.from([2, 0, 0, 0]))], (_map, partition) => {
      expect(partition.treatment).toBe('read in full');
    }));
});

test('a file system that was mounted after its map was made is told', () =>
  onPartition(makeExt4, async (map, _partition, path) => {
    expect(await findChangedParts({ name: path, sizeBytes: DISK_BYTES }, map.marks)).toEqual([]);
    await mounted(path, RANGE, () => Promise.resolve());
    expect(await findChangedParts({ name: path, sizeBytes: DISK_BYTES }, map.marks)).toEqual(['partition 1']);
  }));
