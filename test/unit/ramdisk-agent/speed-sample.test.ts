import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sampleDisk, type SpeedSample } from '../../../ramdisk-agent/capture/speed-sample.ts';
import { DiskSource } from '../../../ramdisk-agent/qcow2/disk-source.ts';
import type { ClusterRun } from '../../../ramdisk-agent/qcow2/extents.ts';
import { CLUSTER_BYTES, Qcow2Layout } from '../../../ramdisk-agent/qcow2/layout.ts';

const PIECES = 16;
const LARGEST_PIECE_BYTES = 1024 ** 2;
const { signal } = new AbortController();

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-sample-'));
  path = join(directory, 'disk');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const clustersOf = (runs: readonly ClusterRun[]): number[] => runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, index) => first + index));

/** A sparse disk on which every cluster that is to be sent bears its number, but for `zeros` of them; and the sample of it. */
async function sample(runs: readonly ClusterRun[], { diskBytes = endOf(runs), isZero = () => false }: { diskBytes?: number; isZero?: (position: number) => boolean } = {}): Promise<SpeedSample> {
  const file = openSync(path, 'w');
  try {
    const mark = Buffer.alloc(4);
    for (const [position, cluster] of clustersOf(runs).entries()) {
      mark.writeUInt32BE(cluster + 1);
      if (!isZero(position)) writeSync(file, mark, 0, mark.length, cluster * CLUSTER_BYTES);
    }
    ftruncateSync(file, diskBytes);
  } finally {
    closeSync(file);
  }
  const disk = await DiskSource.open(path, { onReadError: 'fail' });
  try {
    return await sampleDisk(new Qcow2Layout(diskBytes, runs), disk, signal);
  } finally {
    await disk.close();
  }
}

const endOf = (runs: readonly ClusterRun[]): number => runs.reduce((_, { first, count }) => first + count, 1) * CLUSTER_BYTES;

/** The clusters that a piece is of, by what they bear. */
const readIn = (piece: Buffer): number[] => Array.from({ length: Math.ceil(piece.length / CLUSTER_BYTES) }, (_, index) => piece.readUInt32BE(index * CLUSTER_BYTES) - 1);

/** Where the pieces begin, counted in the clusters that are sent; each holds a piece of the disk all of which is sent. */
function beginnings({ pieces }: SpeedSample, runs: readonly ClusterRun[]): number[] {
  const positions = new Map(clustersOf(runs).map((cluster, position) => [cluster, position]));
  return pieces.map((piece) => {
    const [first = -1, ...others] = readIn(piece);
    expect(others).toEqual(others.map((_, index) => first + 1 + index));
    expect([first, ...others].filter((cluster) => !positions.has(cluster))).toEqual([]);
    expect(piece.length).toBeLessThanOrEqual(LARGEST_PIECE_BYTES);
    return positions.get(first)!;
  });
}

/** Less than a cluster away from where it would be by a ruler. */
function expectEvenlySpread(sampled: SpeedSample, runs: readonly ClusterRun[]): void {
  const found = beginnings(sampled, runs);
  const distance = clustersOf(runs).length / PIECES;
  expect(found).toHaveLength(PIECES);
  for (const [index, position] of found.entries()) expect(Math.abs(position - index * distance)).toBeLessThan(1);
}

const anyRuns = (clusters: { min: number; max: number }, lengths: { min: number; max: number }): fc.Arbitrary<ClusterRun[]> =>
  fc.array(fc.record({ gap: fc.integer({ min: 1, max: 9 }), count: fc.integer(lengths) }), { minLength: clusters.min, maxLength: clusters.max }).map((parts) => {
    let end = -1;
    return parts.map(({ gap, count }) => {
      const first = end + gap;
      end = first + count;
      return { first, count };
    });
  });

describe('the sample of a disk is spread evenly over what will be sent:', () => {
  test.each<[string, ClusterRun[]]>([
    ['one long run', [{ first: 7, count: 2_048 }]],
    ['thousands of runs of a cluster', Array.from({ length: 4_000 }, (_, index) => ({ first: 2 * index, count: 1 }))],
    ['a long run before a thousand of a cluster', [{ first: 0, count: 1_000 }, ...Array.from({ length: 1_000 }, (_, index) => ({ first: 1_001 + 2 * index, count: 1 }))]],
    ['a thousand of a cluster before a long run', [...Array.from({ length: 1_000 }, (_, index) => ({ first: 2 * index, count: 1 })), { first: 2_000, count: 1_000 }]],
    ['fewer clusters than pieces', [{ first: 3, count: 4 }, { first: 20, count: 1 }]],
    ['a single cluster', [{ first: 9, count: 1 }]],
  ])('%s', async (_, runs) => {
    expectEvenlySpread(await sample(runs), runs);
  });

  test('runs of any lengths', () =>
    fc.assert(
      fc.asyncProperty(anyRuns({ min: 1, max: 40 }, { min: 1, max: 60 }), async (runs) => {
        expectEvenlySpread(await sample(runs), runs);
      }),
      { numRuns: 40 },
    ));
});

test('nothing behind the disk’s end is read, wherever in a cluster that is', () =>
  fc.assert(
    fc.asyncProperty(anyRuns({ min: 1, max: 4 }, { min: 1, max: 12 }), fc.integer({ min: 1, max: 127 }), async (runs, sectors) => {
      const diskBytes = endOf(runs) - CLUSTER_BYTES + sectors * 512;
      const sampled = await sample(runs, { diskBytes });
      expectEvenlySpread(sampled, runs);
      for (const piece of sampled.pieces) expect(readIn(piece)[0]! * CLUSTER_BYTES + piece.length).toBeLessThanOrEqual(diskBytes);
    }),
    { numRuns: 40 },
  ));

describe('the share of zeros that a sample tells', () => {
  test('of nothing that will be sent, read at no speed, is none', async () => {
    expect(await sample([], { diskBytes: 64 * CLUSTER_BYTES })).toEqual({ pieces: [], diskBytesPerS: 0, zeroShare: 0 });
  });

  test.each<[string, (position: number) => boolean, number]>([
    ['that is all zeros', () => true, 1],
    ['that bears something everywhere', () => false, 0],
    ['every second cluster of which is zeros', (position) => position % 2 === 1, 1 / 2],
    ['every fourth cluster of which is not', (position) => position % 4 > 0, 3 / 4],
  ])('of a disk %s', async (_, isZero, share) => {
    expect(await sample([{ first: 0, count: 1_024 }], { isZero })).toMatchObject({ zeroShare: share, diskBytesPerS: expect.any(Number) });
  });

  test('does not take the last, shorter cluster for anything else', async () => {
    expect(await sample([{ first: 4, count: 1 }], { diskBytes: 4 * CLUSTER_BYTES + 512, isZero: () => true })).toMatchObject({ zeroShare: 1 });
  });

  /** Of what is sent the first part is zeros: only the one piece that it ends in can be misjudged. */
  async function expectTold(runs: readonly ClusterRun[], part: number): Promise<void> {
    const clusters = clustersOf(runs).length;
    const zeros = Math.round(part * clusters);
    const { zeroShare } = await sample(runs, { isZero: (position) => position < zeros });
    expect(Math.abs(zeroShare - zeros / clusters)).toBeLessThanOrEqual(1 / PIECES + 1 / clusters);
  }

  test('is no larger for zeros in one long run among files in a thousand pieces', () => expectTold([{ first: 0, count: 300 }, ...Array.from({ length: 2_700 }, (_, index) => ({ first: 301 + 2 * index, count: 1 }))], 0.1));

  test('is no smaller for zeros in a thousand pieces before one long run', () => expectTold([...Array.from({ length: 1_500 }, (_, index) => ({ first: 2 * index, count: 1 })), { first: 3_000, count: 1_500 }], 0.5));

  test('is right to a sixteenth whatever the runs’ lengths', () =>
    fc.assert(fc.asyncProperty(anyRuns({ min: 20, max: 40 }, { min: 1, max: 60 }).filter((runs) => clustersOf(runs).length * CLUSTER_BYTES >= PIECES * LARGEST_PIECE_BYTES), fc.double({ min: 0, max: 1, noNaN: true }), expectTold), { numRuns: 30 }));
});
