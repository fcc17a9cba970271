import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { createZstdStream } from '../../protocol/zstd-stream.ts';
import type { DiskSource } from '../qcow2/disk-source.ts';
import { CLUSTER_BYTES, type Qcow2Layout } from '../qcow2/layout.ts';

/** Spread over the disk's data, so that neither its begin nor a cache speaks for all of it. */
const PIECES = 16;
const PIECE_BYTES = 32 * CLUSTER_BYTES;

export interface SpeedSample {
  pieces: Buffer[];
  diskBytesPerS: number;
}

/** Reads a sample of what will be sent, and says how fast that went. */
export async function sampleDisk(layout: Qcow2Layout, disk: DiskSource, signal: AbortSignal): Promise<SpeedSample> {
  const startedAt = performance.now();
  const pieces: Buffer[] = [];
  const step = Math.max(1, Math.floor(layout.runs.length / PIECES));
  for (let index = 0; index < layout.runs.length && pieces.length < PIECES; index += step) {
    signal.throwIfAborted();
    const { first, count } = layout.runs[index]!;
    const offsetBytes = first * CLUSTER_BYTES;
    pieces.push(await disk.read(offsetBytes, Math.min(count * CLUSTER_BYTES, PIECE_BYTES, layout.diskBytes - offsetBytes)));
  }
  const sampleBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  return { pieces, diskBytesPerS: sampleBytes / Math.max(1e-3, (performance.now() - startedAt) / 1_000) };
}

/** How fast the sample is compressed (its bytes a second), and to what part of its size. */
export async function sampleCompression(sample: SpeedSample, signal: AbortSignal): Promise<{ bytesPerS: number; ratio: number }> {
  const startedAt = performance.now();
  const sampleBytes = sample.pieces.reduce((sum, { length }) => sum + length, 0);
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
