/** Whatever qemu-img makes of a disk becomes that very disk again. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageStage, KIB, MIB, digestOfFile, fileSource } from './image-stage.ts';

const DISK_BYTES = 48 * MIB + 512;
let stage: ImageStage;
let raw: string;
let rawDigest: string;
beforeAll(async () => {
  stage = await ImageStage.start();
  raw = await stage.makeRaw('disk.raw', DISK_BYTES);
  rawDigest = await digestOfFile(raw, 'sha256');
});
afterAll(() => stage.close());

async function expectSameDisk(path: string, format: string, expectedDigest: string, virtualSizeBytes: number): Promise<{ dataBytes: number; extents: number }> {
  const uuid = randomUUID();
  const prepared = await stage.prepare(uuid, await fileSource(path, format));
  expect(prepared.virtualSizeBytes).toBe(virtualSizeBytes);
  const disk = await stage.readDisk(uuid);
  expect(disk).toMatchObject({ sha256: expectedDigest, virtualSizeBytes, dataBytes: prepared.dataBytes, streamBytes: disk.announcedBytes });
  expect(await readdir(join(stage.spool, uuid))).toEqual(['disk.raw', 'index.json']);
  await stage.images.remove(uuid);
  return disk;
}

describe('a qcow2', () => {
  test.each([
    ['as it comes', []],
    ['of version 2', ['-o', 'compat=0.10']],
    ['with clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['with clusters of 4 KiB', ['-o', 'cluster_size=4k']],
    ['with clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['with extended L2 entries', ['-o', 'extended_l2=on']],
    ['with extended L2 entries in clusters of 16 KiB', ['-o', 'extended_l2=on,cluster_size=16k']],
    ['compressed with zlib', ['-c']],
    ['of version 2, compressed', ['-c', '-o', 'compat=0.10']],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd']],
    ['with its metadata preallocated', ['-o', 'preallocation=metadata']],
    ['preallocated with falloc', ['-o', 'preallocation=falloc']],
    ['preallocated in full', ['-o', 'preallocation=full']],
    ['with lazy reference counts', ['-o', 'lazy_refcounts=on']],
    ['with reference counts of one bit', ['-o', 'refcount_bits=1']],
    ['with reference counts of 64 bits', ['-o', 'refcount_bits=64']],
  ])('%s', async (name, options) => {
    const path = join(stage.sources, `${name.replaceAll(/\W+/g, '-')}.qcow2`);
    await stage.qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, path);
    expect(await stage.rawDigest(path, 'qcow2')).toBe(rawDigest);
    const disk = await expectSameDisk(path, 'qcow2', rawDigest, DISK_BYTES);
    expect(disk.dataBytes).toBeLessThan(16 * MIB); // zeros do not travel
  });

  test('with snapshots inside: its current disk', async () => {
    const path = join(stage.sources, 'snapshots.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', path, '20M');
    await stage.qemuImg('snapshot', '-c', 'empty', path);
    await stage.qemuImg('convert', '-n', '-f', 'raw', '-O', 'qcow2', await stage.makeRaw('for-snapshots.raw', 20 * MIB), path);
    await stage.qemuImg('snapshot', '-c', 'full', path);
    await expectSameDisk(path, 'qcow2', await stage.rawDigest(path, 'qcow2'), 20 * MIB);
  });

  test('without any data: a disk of zeros, of which no more travels than what qemu writes when it makes a file', async () => {
    const path = join(stage.sources, 'empty.qcow2');
    await stage.qemuImg('create', '-f', 'qcow2', path, '64M');
    expect((await expectSameDisk(path, 'qcow2', await stage.rawDigest(path, 'qcow2'), 64 * MIB)).dataBytes).toBeLessThanOrEqual(4 * KIB);
  });
});

describe('a raw image', () => {
  test('whose zeros are holes', async () => {
    await expectSameDisk(raw, 'raw', rawDigest, DISK_BYTES);
  });

  test('whose zeros were all written: they become holes, and do not travel', async () => {
    const path = join(stage.sources, 'written.raw');
    await writeFile(path, Buffer.alloc(32 * MIB));
    const uuid = randomUUID();
    expect(await stage.prepare(uuid, await fileSource(path))).toEqual({ virtualSizeBytes: 32 * MIB, dataBytes: 0 });
    expect((await stat(join(stage.spool, uuid, 'disk.raw'))).blocks).toBe(0);
    await stage.images.remove(uuid);
  });

  test('that is not of whole sectors is filled up with zeros, as qemu does', async () => {
    const path = join(stage.sources, 'odd.raw');
    await writeFile(path, Buffer.alloc(100 * KIB + 1, 'x'));
    const source = await fileSource(path);
    await truncate(path, 100 * KIB + 512);
    const padded = await digestOfFile(path, 'sha256');
    await truncate(path, 100 * KIB + 1);
    const uuid = randomUUID();
    expect(await stage.prepare(uuid, source)).toMatchObject({ virtualSizeBytes: 100 * KIB + 512 });
    expect((await stage.readDisk(uuid)).sha256).toBe(padded);
  });
});

test('gaps shorter than a MiB are sent as data, longer ones are not', async () => {
  const path = join(stage.sources, 'gaps.raw');
  const data = Buffer.alloc(16 * MIB);
  for (const offset of [0, MIB, 3 * MIB]) data.fill('x', offset, offset + 64 * KIB); // gaps of 960 KiB and 1984 KiB
  await writeFile(path, data);
  const uuid = randomUUID();
  await stage.prepare(uuid, await fileSource(path));
  expect(await stage.readDisk(uuid)).toMatchObject({ extents: 2, dataBytes: MIB + 128 * KIB, sha256: await digestOfFile(path, 'sha256') });
});
