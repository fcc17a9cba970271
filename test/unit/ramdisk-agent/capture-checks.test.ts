import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { ensureCapturable } from '../../../ramdisk-agent/capture-checks.ts';
import type { BlockDevice } from '../../../ramdisk-agent/devices/block-device.ts';

/**
 * Disks are image files here (the tools and our readers take both). The files in fixtures/ are the beginnings of volumes
 * that LVM 2.03.16 (pvcreate, vgcreate) and btrfs-progs 6.2 (mkfs.btrfs) have written on loop devices.
 */
const MIB = 1024 ** 2;
const DISK_BYTES = 256 * MIB;
const FIRST_PARTITION = 2 * MIB;
const SECOND_PARTITION = 100 * MIB;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-checks-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const fixture = async (name: string): Promise<Buffer> => gunzipSync(await readFile(new URL(`fixtures/${name}.gz`, import.meta.url)));

interface Write {
  at: number;
  bytes: Buffer;
}

/** A disk with a partition table in sfdisk's words (none: no table) and bytes at places. */
async function makeDisk(table: string | null, writes: readonly Write[] = []): Promise<BlockDevice> {
  const name = join(directory, 'disk.img');
  await writeFile(name, '');
  await truncate(name, DISK_BYTES);
  if (table !== null) await runProgram('sfdisk', ['--quiet', name], { input: table, timeoutMs: 30_000 });
  const file = await open(name, 'r+');
  for (const { at, bytes } of writes) await file.write(bytes, 0, bytes.length, at);
  await file.close();
  return { name, sizeBytes: DISK_BYTES, sectorSizeBytes: 512, rotational: true, model: null, vendor: null, serial: 'S1', wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null };
}

const check = (device: BlockDevice): Promise<void> => ensureCapturable(device, new AbortController().signal);

const EFI = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';
const BIOS_BOOT = '21686148-6449-6E6F-744E-656564454649';
const BOOT_CODE: Write = { at: 0, bytes: Buffer.from('eb6390', 'hex') };
const TWO_PARTITIONS = 'label: gpt\nstart=4096, size=200000\nstart=204800, size=200000\n';

describe('a disk that looks bootable is captured', () => {
  test.each([
    ['GPT with an EFI system partition', `label: gpt\nsize=50M, type=${EFI}\nsize=50M\n`, []],
    ['GPT with a BIOS boot partition', `label: gpt\nsize=1M, type=${BIOS_BOOT}\nsize=50M\n`, []],
    ['GPT with boot code in its protective record', 'label: gpt\nsize=50M\n', [BOOT_CODE]],
    ['DOS with an active partition', 'label: dos\nsize=50M, type=83, bootable\n', []],
    ['DOS with an EFI system partition', 'label: dos\nsize=50M, type=ef\n', []],
    ['DOS with boot code', 'label: dos\nsize=50M, type=83\n', [BOOT_CODE]],
    ['a boot record without any partition', null, [BOOT_CODE, { at: 510, bytes: Buffer.from('55aa', 'hex') }]],
  ])('%s', async (_what, table, writes) => {
    await expect(check(await makeDisk(table, writes))).resolves.toBeUndefined();
  });
});

describe('a disk that does not look bootable is refused', () => {
  test.each([
    ['an empty disk', null, []],
    ['GPT with data partitions only', TWO_PARTITIONS, []],
    ['DOS without code and active partition', 'label: dos\nsize=50M, type=83\n', []],
    ['boot code without the signature', null, [BOOT_CODE]],
  ])('%s', async (_what, table, writes) => {
    await expect(check(await makeDisk(table, writes))).rejects.toThrow(/disk\.img \(0\.25 GiB, serial S1\) is not captured: it does not look bootable .* allow_partial/);
  });
});

describe('LVM', () => {
  test('a volume group that is on this disk only is captured', async () => {
    await expect(check(await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION, bytes: await fixture('lvm-single-pv') }]))).resolves.toBeUndefined();
  });

  test('one of two volumes of a group is refused, with the name of the group', async () => {
    const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION, bytes: await fixture('lvm-pair-first-pv') }]);
    await expect(check(disk)).rejects.toThrow('partition 1 belongs to the LVM volume group "pair" that has 2 parts of which one is on this disk');
  });

  test('both volumes of a group on the same disk are captured', async () => {
    const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION, bytes: await fixture('lvm-pair-first-pv') }, { at: SECOND_PARTITION, bytes: await fixture('lvm-pair-second-pv') }]);
    await expect(check(disk)).resolves.toBeUndefined();
  });

  test('a whole disk that is a volume is refused as well', async () => {
    const disk = await makeDisk(null, [{ at: 0, bytes: await fixture('lvm-pair-second-pv') }]);
    await expect(check(disk)).rejects.toThrow('the whole disk belongs to the LVM volume group "pair"');
  });
});

describe('btrfs', () => {
  const SUPERBLOCK = 64 * 1024;
  test('a file system of one device is captured', async () => {
    await expect(check(await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + SUPERBLOCK, bytes: await fixture('btrfs-single-device') }]))).resolves.toBeUndefined();
  });
  test('one of two devices is refused', async () => {
    const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + SUPERBLOCK, bytes: await fixture('btrfs-pair-first-device') }]);
    await expect(check(disk)).rejects.toThrow(/partition 1 belongs to the btrfs file system "[0-9a-f]{32}" that has 2 parts of which one is on this disk/);
  });
  test('both devices on one disk are captured', async () => {
    const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + SUPERBLOCK, bytes: await fixture('btrfs-pair-first-device') }, { at: SECOND_PARTITION + SUPERBLOCK, bytes: await fixture('btrfs-pair-second-device') }]);
    await expect(check(disk)).resolves.toBeUndefined();
  });
});

/** mdp_superblock_1 of include/uapi/linux/raid/md_p.h, as far as a reader needs it. */
function mdVersion1(raidDisks: number, deviceNumber: number): Buffer {
  const block = Buffer.alloc(256);
  block.writeUInt32LE(0xa92b4efc, 0);
  block.writeUInt32LE(1, 4);
  block.fill(0x5a, 16, 32);
  block.write('server:root', 32);
  block.writeUInt32LE(1, 72);
  block.writeUInt32LE(raidDisks, 92);
  block.fill(deviceNumber + 1, 168, 184);
  return block;
}

/** mdp_super_t (0.90), in either byte order. */
function mdVersion0(raidDisks: number, byteOrder: 'LE' | 'BE'): Buffer {
  const block = Buffer.alloc(4096);
  const write = (word: number, value: number): number => (byteOrder === 'LE' ? block.writeUInt32LE(value, word * 4) : block.writeUInt32BE(value, word * 4));
  for (const [word, value] of [[0, 0xa92b4efc], [2, 90], [5, 7], [9, raidDisks], [10, raidDisks], [13, 8], [14, 9], [15, 10]] as const) write(word, value);
  return block;
}

describe('md arrays', () => {
  const PARTITION_BYTES = 200_000 * 512;
  const version10 = Math.floor((PARTITION_BYTES - 8192) / 4096) * 4096;
  const version090 = (Math.floor(PARTITION_BYTES / 65536) - 1) * 65536;
  test.each([
    ['1.0', version10, mdVersion1(2, 0)],
    ['1.1', 0, mdVersion1(2, 0)],
    ['1.2', 4096, mdVersion1(2, 0)],
    ['0.90', version090, mdVersion0(2, 'LE')],
    ['0.90 of a big-endian machine', version090, mdVersion0(2, 'BE')],
  ])('a member of two with metadata %s is refused', async (_version, offset, bytes) => {
    await expect(check(await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + offset, bytes }]))).rejects.toThrow(/partition 1 belongs to the md array ".*" that has 2 parts of which one is on this disk/);
  });
  test('an array of one disk is captured', async () => {
    await expect(check(await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + 4096, bytes: mdVersion1(1, 0) }]))).resolves.toBeUndefined();
  });
  test('an array between two partitions of this disk is captured', async () => {
    const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: FIRST_PARTITION + 4096, bytes: mdVersion1(2, 0) }, { at: SECOND_PARTITION + 4096, bytes: mdVersion1(2, 1) }]);
    await expect(check(disk)).resolves.toBeUndefined();
  });
});

test('a member of something whose size cannot be told is refused (here: DRBD)', async () => {
  // drbd_08 metadata of the kernel's drbd_int.h: size of the device in sectors … magic at 60, in the last 4 KiB
  const metadata = Buffer.alloc(4096);
  metadata.writeUInt32BE(0x8374026c, 60);
  const disk = await makeDisk(TWO_PARTITIONS, [BOOT_CODE, { at: SECOND_PARTITION + 200_000 * 512 - 4096, bytes: metadata }]);
  await expect(check(disk)).rejects.toThrow('partition 2 is a member of something that may span other disks (drbd)');
});

test('all reasons are told at once', async () => {
  const disk = await makeDisk(TWO_PARTITIONS, [{ at: FIRST_PARTITION, bytes: await fixture('lvm-pair-first-pv') }]);
  await expect(check(disk)).rejects.toThrow(/does not look bootable.*; partition 1 belongs to the LVM volume group/);
});
