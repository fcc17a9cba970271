import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../../protocol/program.ts';
import { clusterRunsOf, type ClusterRun, type Extent } from '../../../../ramdisk-agent/qcow2/extents.ts';
import { CLUSTER_BYTES, Qcow2Layout } from '../../../../ramdisk-agent/qcow2/layout.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-qcow2-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Content of a cluster that no other one has. */
const contentOf = (cluster: number): Buffer => {
  const content = Buffer.alloc(CLUSTER_BYTES, cluster % 251);
  content.writeDoubleBE(cluster + 1, 0);
  return content;
};

/** The disk and its image as files: the disk sparse, the image with exactly what the layout says. */
async function write(layout: Qcow2Layout): Promise<{ disk: string; image: string }> {
  const [disk, image] = [join(directory, 'disk.raw'), join(directory, 'disk.qcow2')];
  const [raw, qcow2] = [await open(disk, 'w'), await open(image, 'w')];
  try {
    if (layout.diskBytes <= GIB) await raw.truncate(layout.diskBytes); // no file is as large as the largest disks
    let at = 0;
    const append = async (chunk: Buffer): Promise<void> => {
      if (chunk.some((byte) => byte !== 0)) await qcow2.write(chunk, 0, chunk.length, at); // holes keep 64 TiB small
      at += chunk.length;
    };
    for (const chunk of layout.metadata()) await append(chunk);
    expect(at).toBe(layout.metadataBytes);
    for (const { first, count } of layout.runs) {
      for (let cluster = first; cluster < first + count; cluster += 1) {
        const offset = cluster * CLUSTER_BYTES;
        const content = contentOf(cluster);
        content.fill(0, Math.min(CLUSTER_BYTES, layout.diskBytes - offset)); // behind the disk's end
        if (layout.diskBytes <= GIB) await raw.write(content, 0, Math.min(CLUSTER_BYTES, layout.diskBytes - offset), offset);
        await append(content);
      }
    }
    expect(at).toBe(layout.imageBytes);
    await qcow2.truncate(at);
  } finally {
    await raw.close();
    await qcow2.close();
  }
  return { disk, image };
}

const qemuImg = async (...args: string[]): Promise<string> => (await runProgram('qemu-img', args, { timeoutMs: 120_000 })).stdout;

/** What QEMU says of the image, refcounts of every cluster included; it throws for any error or leak. */
async function check(image: string): Promise<Record<string, number>> {
  return JSON.parse(await qemuImg('check', '--output=json', '-f', 'qcow2', image)) as Record<string, number>;
}

const sparseDisk = fc.tuple(fc.integer({ min: 1, max: 300 * 128 }), fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), size: fc.integer({ min: 1, max: 40 * CLUSTER_BYTES }) }), { maxLength: 12 })).map(([sectors, ranges]) => {
  const diskBytes = sectors * 512;
  const extents: Extent[] = ranges.map(({ at, size }) => {
    const offsetBytes = Math.floor(at * (diskBytes - 1));
    return { offsetBytes, sizeBytes: Math.min(size, diskBytes - offsetBytes) };
  });
  return { diskBytes, extents };
});

test('any map of any disk becomes an image that reads back as the disk, with every refcount exact and nothing leaked', async () => {
  await fc.assert(
    fc.asyncProperty(sparseDisk, async ({ diskBytes, extents }) => {
      const layout = new Qcow2Layout(diskBytes, clusterRunsOf(extents, diskBytes, CLUSTER_BYTES));
      const { disk, image } = await write(layout);
      expect((await stat(image)).size).toBe(layout.imageBytes);
      const found = await check(image);
      expect(found).toMatchObject({ 'check-errors': 0, 'image-end-offset': layout.imageBytes });
      expect(found['allocated-clusters'] ?? 0).toBe(layout.dataClusters);
      expect(await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', disk, image)).toContain('identical');
    }),
    { numRuns: 40 },
  );
}, 120_000);

describe('runs of clusters', () => {
  test('hold every byte of the extents, none of the others, and neither overlap nor adjoin', () => {
    fc.assert(
      fc.property(sparseDisk, ({ diskBytes, extents }) => {
        const runs = clusterRunsOf(extents, diskBytes, CLUSTER_BYTES);
        const wanted = new Set(extents.flatMap(({ offsetBytes, sizeBytes }) => Array.from({ length: Math.ceil((offsetBytes + sizeBytes) / CLUSTER_BYTES) - Math.floor(offsetBytes / CLUSTER_BYTES) }, (_, index) => Math.floor(offsetBytes / CLUSTER_BYTES) + index)));
        const found = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, index) => first + index));
        expect(found).toEqual([...wanted].sort((one, other) => one - other));
        for (const [index, run] of runs.slice(1).entries()) expect(run.first).toBeGreaterThan(runs[index]!.first + runs[index]!.count);
      }),
    );
  });

  test.each([
    ['beyond the end', { offsetBytes: MIB - 512, sizeBytes: 1_024 }],
    ['before the begin', { offsetBytes: -512, sizeBytes: 512 }],
    ['of a negative size', { offsetBytes: 512, sizeBytes: -512 }],
    ['of no number', { offsetBytes: Number.NaN, sizeBytes: 512 }],
  ])('are refused for an extent %s', (_, extent) => {
    expect(() => clusterRunsOf([extent], MIB, CLUSTER_BYTES)).toThrow(/within the disk's 1048576 bytes/);
  });
});

/** How long a full image of this disk is, counted by the format's rules in another way: a cluster of each kind at a time. */
function lengthOfFull(diskBytes: number): number {
  const data = Math.ceil(diskBytes / CLUSTER_BYTES);
  const l2 = Math.ceil(data / 8_192);
  const l1 = Math.ceil(l2 / 8_192);
  let blocks = 1;
  const total = (): number => 1 + Math.ceil(blocks / 8_192) + blocks + l1 + l2 + data;
  while (blocks * 32_768 < total()) blocks += 1;
  return total() * CLUSTER_BYTES;
}

describe('the length of an image', () => {
  test.each([MIB, MIB + 512, 512 * MIB, 512 * MIB + 512, 8 * GIB, 931 * GIB + 3 * 512, 16 * TIB, 64 * TIB])('of a full disk of %d bytes is what the format needs', (diskBytes) => {
    const layout = new Qcow2Layout(diskBytes, [{ first: 0, count: Math.ceil(diskBytes / CLUSTER_BYTES) }]);
    expect(layout.imageBytes).toBe(lengthOfFull(diskBytes));
  });

  test('grows by one block of refcounts exactly where the last one is full', () => {
    for (let clusters = 32_700; clusters < 32_800; clusters += 1) {
      expect(new Qcow2Layout(clusters * CLUSTER_BYTES, [{ first: 0, count: clusters }]).imageBytes).toBe(lengthOfFull(clusters * CLUSTER_BYTES));
    }
  });
});

test.each([
  ['1 MiB, whole', MIB, [{ first: 0, count: 16 }]],
  ['1 MiB, nothing in it', MIB, []],
  ['3 GiB, its refcounts in two blocks', 3 * GIB, [{ first: 5, count: 32_768 }]],
  ['64 TiB, a cluster at each end and one at the border of two tables', 64 * TIB, [{ first: 0, count: 1 }, { first: 8_191, count: 2 }, { first: (64 * TIB) / CLUSTER_BYTES - 1, count: 1 }]],
  ['2 PiB, with the largest L1 table that QEMU opens', 2_048 * TIB, [{ first: (2_048 * TIB) / CLUSTER_BYTES - 1, count: 1 }]],
] as [string, number, ClusterRun[]][])('QEMU finds nothing wrong with an image of %s', async (_, diskBytes, runs) => {
  const layout = new Qcow2Layout(diskBytes, runs);
  const { image } = await write(layout);
  expect(await check(image)).toMatchObject({ 'check-errors': 0, 'image-end-offset': layout.imageBytes });
  expect(JSON.parse(await qemuImg('info', '--output=json', '-f', 'qcow2', image))).toMatchObject({ 'virtual-size': diskBytes, 'cluster-size': CLUSTER_BYTES });
}, 120_000);

test('the metadata of a full disk of 64 TiB are made a cluster at a time, each of its own 64 KiB', () => {
  const diskBytes = 64 * TIB;
  const layout = new Qcow2Layout(diskBytes, [{ first: 0, count: diskBytes / CLUSTER_BYTES }]);
  const sizes = new Set<number>();
  let seen = 0;
  for (const chunk of layout.metadata()) {
    sizes.add(chunk.length);
    seen += 1;
    if (seen === 34_000) break; // header, refcounts, L1 and the first of 131072 L2 tables
  }
  expect([...sizes]).toEqual([CLUSTER_BYTES]);
  expect(layout.metadataBytes / CLUSTER_BYTES).toBeGreaterThan(131_072 + 32_768);
}, 60_000);

test.each([
  ['a size that is no whole sectors', MIB + 1, []],
  ['a disk that QEMU could not open', 2_048 * TIB + 512, []],
  ['no disk', 0, []],
  ['runs out of order', MIB, [{ first: 4, count: 1 }, { first: 2, count: 1 }]],
  ['runs that overlap', MIB, [{ first: 0, count: 4 }, { first: 3, count: 1 }]],
  ['a run beyond the disk', MIB, [{ first: 15, count: 2 }]],
  ['an empty run', MIB, [{ first: 1, count: 0 }]],
] as [string, number, ClusterRun[]][])('%s is refused, with what was expected', (_, diskBytes, runs) => {
  expect(() => new Qcow2Layout(diskBytes, runs)).toThrow(/expected/);
});
