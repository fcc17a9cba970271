import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../../protocol/program.ts';
import { findData } from '../../../../ramdisk-agent/qcow2/data-scan.ts';
import { DiskSource } from '../../../../ramdisk-agent/qcow2/disk-source.ts';
import { clusterRunsOf, type ClusterRun } from '../../../../ramdisk-agent/qcow2/extents.ts';
import { streamImage } from '../../../../ramdisk-agent/qcow2/image-stream.ts';
import { CLUSTER_BYTES, Qcow2Layout } from '../../../../ramdisk-agent/qcow2/layout.ts';

const MIB = 1024 ** 2;
const { signal } = new AbortController();

let directory: string;
let disk: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-stream-'));
  disk = join(directory, 'disk.raw');
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function makeDisk(diskBytes: number, filled: readonly { offsetBytes: number; sizeBytes: number }[]): Promise<void> {
  const file = await open(disk, 'w');
  try {
    await file.truncate(diskBytes);
    for (const { offsetBytes, sizeBytes } of filled) await file.write(Buffer.alloc(sizeBytes, 1 + (offsetBytes % 255)), 0, sizeBytes, offsetBytes);
  } finally {
    await file.close();
  }
}

async function withSource<T>(work: (source: DiskSource) => Promise<T>, onReadError: 'fail' | 'zero' = 'fail'): Promise<T> {
  const source = await DiskSource.open(disk, { onReadError });
  try {
    return await work(source);
  } finally {
    await source.close();
  }
}

const writeImage = (layout: Qcow2Layout): Promise<string> =>
  withSource(async (source) => {
    const image = join(directory, 'disk.qcow2');
    await writeFile(image, streamImage(layout, source, signal));
    return image;
  });

const allOf = (diskBytes: number): ClusterRun[] => [{ first: 0, count: Math.ceil(diskBytes / CLUSTER_BYTES) }];

test('whatever is on a disk, the image of what the scan finds is exactly as long as was said, and reads back as the disk', async () => {
  const disks = fc.tuple(fc.integer({ min: 1, max: 60 * 128 }), fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), size: fc.integer({ min: 1, max: 3 * MIB }) }), { maxLength: 6 })).map(([sectors, ranges]) => {
    const diskBytes = sectors * 512;
    return { diskBytes, filled: ranges.map(({ at, size }) => ({ offsetBytes: Math.floor(at * (diskBytes - 1)), size })).map(({ offsetBytes, size }) => ({ offsetBytes, sizeBytes: Math.min(size, diskBytes - offsetBytes) })) };
  });
  await fc.assert(
    fc.asyncProperty(disks, async ({ diskBytes, filled }) => {
      await makeDisk(diskBytes, filled);
      const runs = await withSource((source) => findData(allOf(diskBytes), source, diskBytes, signal, () => undefined));
      expect(runs).toEqual(clusterRunsOf(filled, diskBytes, CLUSTER_BYTES));
      const layout = new Qcow2Layout(diskBytes, runs);
      const image = await writeImage(layout);
      expect((await readFile(image)).length).toBe(layout.imageBytes);
      await runProgram('qemu-img', ['check', '-q', '-f', 'qcow2', image], { timeoutMs: 60_000 });
      await runProgram('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'qcow2', disk, image], { timeoutMs: 60_000 });
    }),
    { numRuns: 25 },
  );
}, 120_000);

test('what lies outside the runs is not in the image: it reads as zeros', async () => {
  await makeDisk(4 * MIB, [{ offsetBytes: 0, sizeBytes: 4 * MIB }]);
  const image = await writeImage(new Qcow2Layout(4 * MIB, [{ first: 3, count: 2 }]));
  const raw = join(directory, 'back.raw');
  await runProgram('qemu-img', ['convert', '-O', 'raw', image, raw], { timeoutMs: 60_000 });
  const found = await readFile(raw);
  expect(found.subarray(3 * CLUSTER_BYTES, 5 * CLUSTER_BYTES).every((byte) => byte === 1)).toBe(true);
  expect([...found.subarray(0, 3 * CLUSTER_BYTES), ...found.subarray(5 * CLUSTER_BYTES)].every((byte) => byte === 0)).toBe(true);
});

describe('a disk that', () => {
  test('has become smaller fails the stream, with the place where it ends', async () => {
    await makeDisk(4 * MIB, []);
    await truncate(disk, 2 * MIB);
    await expect(writeImage(new Qcow2Layout(4 * MIB, allOf(4 * MIB)))).rejects.toThrow(/disk\.raw ends at 2097152/);
  });

  test('is no longer wanted is not read on', async () => {
    await makeDisk(8 * MIB, []);
    const stopped = new AbortController();
    await withSource(async (source) => {
      const pieces = streamImage(new Qcow2Layout(8 * MIB, allOf(8 * MIB)), source, stopped.signal);
      await pieces.next();
      stopped.abort(new Error('stopped on request'));
      await expect(pieces.next()).rejects.toThrow('stopped on request');
    });
  });
});
