import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import type { DiskMap } from '../../../../ramdisk-agent/extent-map/disk-map.ts';
import type { PartDecision } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import type { Extent } from '../../../../ramdisk-agent/qcow2/extents.ts';
import { copyMapped, digestOf, makeDisk, mapOf, MIB, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(120_000);

const SECTOR = 512;
const DISK_BYTES = 64 * MIB + 3 * SECTOR;

async function writeAt(path: string, offsetBytes: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, offsetBytes);
  await file.close();
}

/** A DOS partition table that no tool would write. */
function dosTable(partitions: readonly Extent[]): Buffer {
  const record = Buffer.alloc(SECTOR);
  for (const [index, { offsetBytes, sizeBytes }] of partitions.entries()) {
    record[446 + index * 16 + 4] = 0x83;
    record.writeUInt32LE(offsetBytes / SECTOR, 446 + index * 16 + 8);
    record.writeUInt32LE(sizeBytes / SECTOR, 446 + index * 16 + 12);
  }
  record.writeUInt16LE(0xaa55, 510);
  return record;
}

const makeExt = (path: string, { offsetBytes, sizeBytes }: Extent, ...options: string[]) => run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-E', `offset=${offsetBytes}`, ...options, path, `${sizeBytes / 1024}k`);

const partOf = (map: DiskMap, what: string): PartDecision => map.parts.find((part) => part.what === what)!;
const covers = (map: DiskMap, { offsetBytes, sizeBytes }: Extent): boolean => map.extents.some((extent) => extent.offsetBytes <= offsetBytes && extent.offsetBytes + extent.sizeBytes >= offsetBytes + sizeBytes);
const range = (startMib: number, sizeMib: number): Extent => ({ offsetBytes: startMib * MIB, sizeBytes: sizeMib * MIB });
const onDisk = (table: string | null, use: (path: string, directory: string) => Promise<void>, sizeBytes = DISK_BYTES): Promise<void> =>
  withDirectory(async (directory) => use(await makeDisk(join(directory, 'disk.img'), sizeBytes, table), directory));

describe('partitions where none should be', () => {
  test('those that overlap are read in full, the others are mapped', () =>
    onDisk(null, async (path) => {
      const [first, second, third] = [range(1, 20), range(20, 16), range(40, 16)];
      for (const place of [second, first, third]) await makeExt(path, place);
      await writeAt(path, 0, dosTable([first, second, third]));
      const map = await mapOf(path, DISK_BYTES);
      expect(partOf(map, 'partition 1')).toMatchObject({ ...first, treatment: 'read in full', reason: 'it overlaps with partition 2' });
      expect(partOf(map, 'partition 2')).toMatchObject({ ...second, treatment: 'read in full', reason: 'it overlaps with partition 1' });
      expect(partOf(map, 'partition 3')).toMatchObject({ ...third, treatment: 'mapped' });
      expect(covers(map, range(0, 40))).toBe(true);
      expect(covers(map, third)).toBe(false);
    }));

  test('one that reaches beyond the disk is read in full as far as it is there, one that lies beyond is said', () =>
    onDisk(null, async (path) => {
      const [first, second, third] = [range(1, 20), range(40, 30), range(100, 10)];
      for (const place of [first, second]) await makeExt(path, { ...place, sizeBytes: 16 * MIB });
      await writeAt(path, 0, dosTable([first, second, third]));
      const map = await mapOf(path, DISK_BYTES);
      expect(partOf(map, 'partition 1').treatment).toBe('mapped');
      expect(partOf(map, 'partition 2')).toMatchObject({ offsetBytes: 40 * MIB, sizeBytes: DISK_BYTES - 40 * MIB, treatment: 'read in full', reason: 'it reaches beyond the end of the disk' });
      expect(partOf(map, 'partition 3')).toMatchObject({ sizeBytes: 0, usedBytes: 0, reason: 'it reaches beyond the end of the disk and nothing of it is on the disk' });
      expect(covers(map, { offsetBytes: 21 * MIB, sizeBytes: DISK_BYTES - 21 * MIB })).toBe(true);
    }));
});

test('logical partitions are mapped, and the boot records between them are in the image', () =>
  onDisk('label: dos\nstart=2048, size=16384, type=83\nstart=20480, size=100000, type=5\nstart=22528, size=32768, type=83\nstart=61440, size=32768, type=83\n', async (path, directory) => {
    const logical = [range(11, 16), range(30, 16)];
    for (const place of logical) await makeExt(path, place);
    const map = await mapOf(path, DISK_BYTES);
    expect(partOf(map, 'partition 5')).toMatchObject({ ...logical[0], treatment: 'mapped' });
    expect(partOf(map, 'partition 6')).toMatchObject({ ...logical[1], treatment: 'mapped' });
    expect(partOf(map, 'partition 1')).toMatchObject({ content: null, treatment: 'read in full', reason: 'its content is not recognized' });
    expect(partOf(map, 'partition 2')).toBeUndefined();
    const copy = join(directory, 'copy.img');
    await copyMapped(path, copy, DISK_BYTES, map.extents);
    expect((await run('sfdisk', '--dump', copy)).stdout.replaceAll(copy, '')).toBe((await run('sfdisk', '--dump', path)).stdout.replaceAll(path, ''));
  }));

test('a disk with sectors of 4 KiB', () =>
  onDisk(null, async (path) => {
    const diskBytes = 64 * MIB + 3 * 4096;
    const root = range(17, 40);
    await run('truncate', '--size', String(diskBytes), path);
    await onLoop(path, { offsetBytes: 0, sizeBytes: diskBytes }, async (device) => {
      await run('sh', '-c', 'printf "label: gpt\\nstart=256, size=4096\\nstart=4352, size=10240\\n" | sfdisk --quiet --no-reread --no-tell-kernel "$0"', device);
      await makeExt(device, root, '-F');
      const map = await mapOf(device, diskBytes);
      expect(partOf(map, 'partition 1')).toMatchObject({ ...range(1, 16), treatment: 'read in full' });
      expect(partOf(map, 'partition 2')).toMatchObject({ ...root, content: 'ext4', treatment: 'mapped' });
      expect(covers(map, { offsetBytes: root.offsetBytes + root.sizeBytes, sizeBytes: diskBytes - root.offsetBytes - root.sizeBytes })).toBe(true);
    }, ['--sector-size', '4096']);
  }));

describe('a disk without a partition table', () => {
  test('is mapped when it is one file system; what lies behind that is in the image', () =>
    onDisk(null, async (path, directory) => {
      await makeExt(path, range(0, 48));
      await writeAt(path, 50 * MIB, randomBytes(MIB));
      const map = await mapOf(path, DISK_BYTES);
      expect(map.parts).toMatchObject([{ what: 'the whole disk', content: 'ext4', treatment: 'mapped', sizeBytes: DISK_BYTES }]);
      expect(map.usedBytes).toBeLessThan(32 * MIB);
      const copy = join(directory, 'copy.img');
      await copyMapped(path, copy, DISK_BYTES, map.extents);
      expect(await digestOf(copy)).toBe(await digestOf(path)); // its free space was never written to
    }));
  test('is read in full when nothing is recognized', () =>
    onDisk(null, async (path) => {
      const map = await mapOf(path, DISK_BYTES);
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
      expect(map.parts).toMatchObject([{ what: 'the whole disk', reason: 'its content is not recognized' }]);
    }));
  test('may be tiny', () =>
    onDisk(null, async (path) => {
      expect((await mapOf(path, SECTOR)).extents).toEqual([{ offsetBytes: 0, sizeBytes: SECTOR }]);
    }, SECTOR));
});

test('an empty partition table is no reason to leave anything out', () =>
  onDisk('label: gpt\n', async (path) => {
    const map = await mapOf(path, DISK_BYTES);
    expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
    expect(map.parts).toMatchObject([{ what: 'the whole disk', reason: 'it has no partitions' }]);
  }));

test('for forensics everything is taken', () =>
  onDisk('label: gpt\nstart=2048, size=65536\n', async (path) => {
    await makeExt(path, range(1, 32));
    const map = await mapOf(path, DISK_BYTES, { full: true });
    expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
    expect(map.parts).toMatchObject([{ what: 'the whole disk', treatment: 'read in full', reason: 'all of it was asked for' }]);
  }));

test('a damaged GPT whose backup is lost too is read in full', () =>
  onDisk('label: gpt\nstart=2048, size=65536\n', async (path) => {
    await makeExt(path, range(1, 32));
    await writeAt(path, SECTOR, Buffer.alloc(SECTOR, 0xa5));
    expect(partOf(await mapOf(path, DISK_BYTES), 'partition 1').treatment).toBe('mapped'); // by the backup
    await writeAt(path, DISK_BYTES - SECTOR, Buffer.alloc(SECTOR, 0xa5));
    expect((await mapOf(path, DISK_BYTES)).extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
  }));
