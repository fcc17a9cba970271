import type { DiskSource } from './disk-source.ts';
import { CLUSTER_BYTES, type Qcow2Layout } from './layout.ts';

/** Pieces in which the disk is read, and the image comes. */
const PIECE_BYTES = 16 * CLUSTER_BYTES;
/** Pieces that are being read while the one before is used: disk and network work at the same time. */
const READS_AHEAD = 4;

/**
 * The image, front to back, in pieces of at most 1 MiB; together exactly `layout.imageBytes`. However large the disk is, its
 * data come in the disk's memory, all of which they use: a piece is what it was until the twelfth after it has been asked for.
 */
export async function* streamImage(layout: Qcow2Layout, disk: DiskSource, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  yield* joined(layout.metadata());
  yield* readAhead(pieces(layout), disk, signal);
}

/** Metadata comes a cluster at a time; a write for each would cost more than its content. */
function* joined(clusters: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  let waiting: Buffer[] = [];
  for (const cluster of clusters) {
    waiting.push(cluster);
    if (waiting.length * CLUSTER_BYTES < PIECE_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
  }
  if (waiting.length > 0) yield Buffer.concat(waiting);
}

interface Piece {
  offsetBytes: number;
  /** On the disk, and then as zeros up to a whole cluster behind its end. */
  sizeBytes: number;
  paddingBytes: number;
}

function* pieces({ runs, diskBytes }: Qcow2Layout): Generator<Piece, undefined, undefined> {
  for (const { first, count } of runs) {
    const endBytes = (first + count) * CLUSTER_BYTES;
    for (let offsetBytes = first * CLUSTER_BYTES; offsetBytes < endBytes; offsetBytes += PIECE_BYTES) {
      const pieceEnd = Math.min(offsetBytes + PIECE_BYTES, endBytes);
      const paddingBytes = Math.max(0, pieceEnd - diskBytes);
      yield { offsetBytes, sizeBytes: pieceEnd - offsetBytes - paddingBytes, paddingBytes };
    }
  }
  return undefined;
}

async function* readAhead(wanted: Iterator<Piece, undefined>, disk: DiskSource, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const places = disk.memory.length / PIECE_BYTES;
  const reading: Promise<Buffer>[] = [];
  let begun = 0;
  const begin = (): void => {
    const { value: piece } = wanted.next();
    if (piece === undefined) return;
    const at = (begun % places) * PIECE_BYTES;
    begun += 1;
    const read = readPiece(piece, disk, disk.memory.subarray(at, at + PIECE_BYTES), signal);
    read.catch(() => undefined); // its turn comes below
    reading.push(read);
  };
  try {
    for (let count = 0; count < READS_AHEAD; count += 1) begin();
    for (let read = reading.shift(); read !== undefined; read = reading.shift()) {
      signal.throwIfAborted();
      const piece = await read;
      begin();
      yield piece;
    }
  } finally {
    await Promise.allSettled(reading); // the descriptor may be closed once we have returned
  }
}

async function readPiece({ offsetBytes, sizeBytes, paddingBytes }: Piece, disk: DiskSource, buffer: Buffer, signal: AbortSignal): Promise<Buffer> {
  await disk.readInto(buffer.subarray(0, sizeBytes), offsetBytes, signal);
  return buffer.subarray(0, sizeBytes + paddingBytes).fill(0, sizeBytes);
}
