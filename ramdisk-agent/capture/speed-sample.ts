import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { createZstdStream } from '../../protocol/zstd-stream.ts';
import { isZeros } from '../qcow2/data-scan.ts';
import type { DiskSource } from '../qcow2/disk-source.ts';
import type { ClusterRun } from '../qcow2/extents.ts';
import { CLUSTER_BYTES, type Qcow2Layout } from '../qcow2/layout.ts';

/** Spread over the disk's data, so that neither its begin nor a cache speaks for all of it. */
const PIECES = 16;

export interface SpeedSample {
  /** In the disk's memory, until it is read again. */
  pieces: Buffer[];
  diskBytesPerS: number;
  /** Of its clusters that are nothing but zeros: 0 to 1. */
  zeroShare: number;
}

/** Reads a sample of what will be sent, and says how fast that went. */
export async function sampleDisk(layout: Qcow2Layout, disk: DiskSource, signal: AbortSignal): Promise<SpeedSample> {
  const startedAt = performance.now();
  const pieces: Buffer[] = [];
  const pieceBytes = disk.memory.length / PIECES;
  for (const { first, count } of spread(layout, pieceBytes / CLUSTER_BYTES)) {
    signal.throwIfAborted();
    const at = pieces.length * pieceBytes;
    const offsetBytes = first * CLUSTER_BYTES;
    const piece = disk.memory.subarray(at, at + Math.min(count * CLUSTER_BYTES, layout.diskBytes - offsetBytes));
    await disk.readInto(piece, offsetBytes, signal);
    pieces.push(piece);
  }
  const tookS = Math.max(1e-3, (performance.now() - startedAt) / 1_000);
  const zeros = pieces.reduce((sum, piece) => sum + zeroShareOf(clustersOf(piece)), 0); // each piece stands for as much, however short it is
  return { pieces, diskBytesPerS: sizeOf(pieces) / tookS, zeroShare: zeros / Math.max(1, pieces.length) };
}

const zeroShareOf = (clusters: readonly Buffer[]): number => clusters.filter(isZeros).length / clusters.length;

/** Runs of at most `longest` clusters, at equal distances in what will be sent. */
function* spread({ runs, dataClusters }: Qcow2Layout, longest: number): Generator<ClusterRun> {
  let [before, taken] = [0, 0];
  for (const { first, count } of runs) {
    for (let next = Math.floor((taken / PIECES) * dataClusters); taken < PIECES && next < before + count; next = Math.floor((taken / PIECES) * dataClusters)) {
      const skipped = next - before;
      yield { first: first + skipped, count: Math.min(longest, count - skipped) };
      taken += 1;
    }
    before += count;
  }
}

const clustersOf = (piece: Buffer): Buffer[] => Array.from({ length: Math.ceil(piece.length / CLUSTER_BYTES) }, (_, index) => piece.subarray(index * CLUSTER_BYTES, (index + 1) * CLUSTER_BYTES));

const sizeOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** How fast the sample is compressed (its bytes a second), and to what part of its size. */
export async function sampleCompression(sample: SpeedSample, signal: AbortSignal): Promise<{ bytesPerS: number; ratio: number }> {
  const startedAt = performance.now();
  const sampleBytes = sizeOf(sample.pieces);
  let compressedBytes = 0;
  const count = new Writable({
    write(chunk: Buffer, _encoding, done) {
      compressedBytes += chunk.length;
      done();
    },
  });
  await pipeline(Readable.from(sample.pieces), createZstdStream('compress'), count, { signal });
  return { bytesPerS: sampleBytes / Math.max(1e-3, (performance.now() - startedAt) / 1_000), ratio: sampleBytes === 0 ? 1 : compressedBytes / sampleBytes };
}
