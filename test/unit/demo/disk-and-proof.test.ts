import { copyFile, mkdtemp, open, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { bootCode } from '../../../demo/boot-record.ts';
import { writePseudoRandom } from '../../../demo/disk-content.ts';
import { buildDisk, type Disk } from '../../../demo/disk.ts';
import { compareFiles, NotIdenticalError, proveCaptured, proveRestored } from '../../../demo/proof.ts';
import { countFiles } from '../../../demo/tree-listing.ts';
import { runProgram } from '../../../protocol/program.ts';

const GIB = 1024 ** 3;
const run = async (command: string, args: string[]): Promise<string> => (await runProgram(command, args, { timeoutMs: 60_000 })).stdout;

let work: string;
let disk: Disk;
let image: string;
/** A damaged copy of the image, made anew in each test. */
let damaged: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'disk-test-'));
  disk = await buildDisk(work, { sizeBytes: 4 * GIB, share: 0.02 });
  [image, damaged] = [join(work, 'image.qcow2'), join(work, 'damaged.qcow2')];
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk.path, image]);
}, 60_000);
afterAll(() => rm(work, { recursive: true, force: true }));
afterEach(() => rm(damaged, { force: true }));

describe('the disk', () => {
  test('is a sparse file of 4 GiB with partition table, boot record and signature', async () => {
    const { size, blocks } = await stat(disk.path);
    expect(size).toBe(4 * GIB);
    expect(blocks * 512).toBeLessThan(GIB / 4);
    const table = JSON.parse(await run('sfdisk', ['--json', disk.path])) as { partitiontable: { label: string; partitions: { start: number; size: number; type: string }[] } };
    expect(table.partitiontable).toMatchObject({
      label: 'gpt',
      partitions: [{ start: 2048, size: 2048, type: '21686148-6449-6E6F-744E-656564454649' }, { start: disk.fileSystem.offsetBytes / 512, size: disk.fileSystem.sizeBytes / 512 }],
    });
    const sector = Buffer.alloc(512);
    const file = await open(disk.path);
    await file.read(sector, 0, 512, 0);
    await file.close();
    expect(sector.subarray(0, 440)).toEqual(bootCode());
    expect(sector.readUInt16LE(510)).toBe(0xaa55);
  });

  test('holds a clean ext4 file system with its files, and deleted data that no file has', async () => {
    expect(await run('e2fsck', ['-fn', `${disk.path}?offset=${disk.fileSystem.offsetBytes}`])).toContain('metalshot-demo');
    expect(countFiles(disk.content)).toBeGreaterThan(50);
    expect([...disk.content.keys()]).not.toContain('./deleted-garbage');
    // Its first bytes, made of the same seed, are still somewhere in the file system.
    const garbage = join(work, 'garbage');
    await writePseudoRandom(garbage, 4_096, 'garbage');
    expect(await holds(disk.path, (await readFile(garbage)).subarray(0, 512))).toBe(true);
  });

  test('nothing but the disk is left of its making', async () => {
    expect((await readdir(work)).sort()).toEqual(['disk.img', 'garbage', 'image.qcow2']);
  });
});

describe('the proof', () => {
  test('an image of the disk is proven, file by file', async () => {
    const files = countFiles(disk.content);
    expect(await proveCaptured(disk, image, work)).toEqual({ files, heldBytes: expect.any(Number), leftOutBytes: 0 });
    expect(await proveRestored(disk, image, work)).toBe(files);
    expect(await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])).not.toContain(work);
  });

  test('one flipped byte in the image is found', async () => {
    await copyFile(image, damaged);
    // In the middle of data that qemu-img says is there, so that it is the disk's content that changes.
    const map = JSON.parse(await run('qemu-img', ['map', '--output=json', damaged])) as { start: number; length: number; data: boolean; offset?: number }[];
    const extent = map.filter(({ data, start }) => data && start > 64 * 1024 ** 2).sort((one, other) => other.length - one.length)[0]!;
    await flipByte(damaged, extent.offset! + Math.floor(extent.length / 2));
    await expect(proveCaptured(disk, damaged, work)).rejects.toThrow(`The image differs from the disk at byte ${extent.start + Math.floor(extent.length / 2)}`);
    await expect(proveRestored(disk, damaged, work)).rejects.toThrow(NotIdenticalError);
    await expect(proveRestored(disk, damaged, work)).rejects.toThrow(/Content mismatch/);
  });

  test('data of the disk that the image does not hold are told of a snapshot, and found in a restored disk', async () => {
    const path = join(work, 'more.raw');
    try {
      await run('cp', ['--sparse=always', disk.path, path]);
      const file = await open(path, 'r+');
      await file.write(Buffer.from('deleted long ago'), 0, 16, disk.sizeBytes - 1024 ** 2 + 4096); // between the last partition and the table's copy
      await file.close();
      expect(await proveCaptured({ ...disk, path }, image, work)).toMatchObject({ leftOutBytes: 4096 });
      await expect(proveRestored({ ...disk, path }, image, work)).rejects.toThrow(/Content mismatch/);
    } finally {
      await rm(path, { force: true });
    }
  });

  test('one changed file is found by its digest', async () => {
    const raw = join(work, 'changed.raw');
    try {
      await run('cp', ['--sparse=always', disk.path, raw]);
      await writeFile(join(work, 'other'), 'mode 0600?\n');
      const path = [...disk.content.keys()].find((name) => name.endsWith('level-11/secret'))!;
      await run('debugfs', ['-w', '-R', `rm ${path.slice(1)}`, `${raw}?offset=${disk.fileSystem.offsetBytes}`]);
      await run('debugfs', ['-w', '-R', `write ${join(work, 'other')} ${path.slice(1)}`, `${raw}?offset=${disk.fileSystem.offsetBytes}`]);
      await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, damaged]);
    } finally {
      await rm(raw, { force: true });
      await rm(join(work, 'other'), { force: true });
    }
    await expect(compareFiles(disk, damaged, work)).rejects.toThrow(/secret: expected/);
  });

  test('an image of another size is refused', async () => {
    await copyFile(image, damaged);
    await run('qemu-img', ['resize', '-q', damaged, '+1M']);
    await expect(proveCaptured(disk, damaged, work)).rejects.toThrow(`The disk has ${4 * GIB} bytes, its image ${4 * GIB + 1024 ** 2}`);
  });
});

async function flipByte(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  await file.write(Buffer.from([byte[0]! ^ 0x01]), 0, 1, position);
  await file.close();
}

/** Whether a block-aligned piece of the data areas of a sparse file begins with these bytes. */
async function holds(path: string, bytes: Buffer): Promise<boolean> {
  const map = JSON.parse(await run('qemu-img', ['map', '-f', 'raw', '--output=json', path])) as { start: number; length: number; data: boolean }[];
  const file = await open(path);
  try {
    for (const { start, length } of map.filter(({ data }) => data)) {
      const piece = Buffer.alloc(length);
      await file.read(piece, 0, length, start);
      if (piece.includes(bytes)) return true;
    }
    return false;
  } finally {
    await file.close();
  }
}
