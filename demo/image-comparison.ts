import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram } from '../protocol/program.ts';

export interface Comparison {
  /** The first byte of the disk that the image has otherwise; null: there is none. */
  differsAt: number | null;
  /** What the image holds of the disk. */
  heldBytes: number;
  /** What is not zeros on the disk and not in the image, to the nearest blocks: what was deleted in free space. */
  leftOutBytes: number;
}

const PIECE_BYTES = 4 * 1024 ** 2;
const CLUSTER_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);
const MAP_TIMEOUT_MS = 120_000;
/** Extents of an image that nothing compresses have a place in its file. */
const mapSchema = z.array(z.object({ start: z.number(), length: z.number(), data: z.boolean(), zero: z.boolean(), offset: z.number().optional() }));
type MapExtent = z.infer<typeof mapSchema>[number];

/**
 * Compares a qcow2 image with the raw disk that it was taken of: everything that it holds, byte by byte. A disk that is
 * longer or shorter is not noticed here.
 * @throws OperationFailedError for an image that qemu-img cannot read.
 */
export async function compareWithDisk(image: string, disk: string, signal?: AbortSignal): Promise<Comparison> {
  const inImage = await mapOf(image, 'qcow2', signal);
  const onDisk = (await mapOf(disk, 'raw', signal)).filter(({ data }) => data); // a disk's file is mostly holes
  const [imageFile, diskFile] = [await open(image), await open(disk)];
  try {
    const found: Comparison = { differsAt: null, heldBytes: 0, leftOutBytes: 0 };
    for (const extent of inImage) {
      const held = extent.data && !extent.zero;
      for (const { start, end } of held ? [piece(extent)] : onDisk.map((other) => overlap(piece(extent), piece(other)))) {
        for (let at = start; at < end; at += PIECE_BYTES) {
          signal?.throwIfAborted();
          const bytes = await read(diskFile, at, Math.min(PIECE_BYTES, end - at));
          if (!held) found.leftOutBytes += dataBytesOf(bytes);
          else {
            const copied = await read(imageFile, placeOf(extent) + at - start, bytes.length);
            found.heldBytes += bytes.length;
            if (!copied.equals(bytes)) found.differsAt ??= at + bytes.findIndex((byte, index) => byte !== copied[index]);
          }
        }
      }
    }
    return found;
  } finally {
    await imageFile.close();
    await diskFile.close();
  }
}

interface Piece {
  start: number;
  end: number;
}

const piece = ({ start, length }: MapExtent): Piece => ({ start, end: start + length });
/** With its end before its start when there is none. */
const overlap = (one: Piece, other: Piece): Piece => ({ start: Math.max(one.start, other.start), end: Math.min(one.end, other.end) });

async function mapOf(path: string, format: 'qcow2' | 'raw', signal?: AbortSignal): Promise<MapExtent[]> {
  // --force-share: a virtual server that runs holds a lock on its disk (and writes nothing there)
  const { stdout } = await runProgram('qemu-img', ['map', '--force-share', '--output=json', '-f', format, path], { timeoutMs: MAP_TIMEOUT_MS, signal });
  return mapSchema.parse(JSON.parse(stdout));
}

function placeOf({ start, offset }: MapExtent): number {
  if (offset === undefined) throw new OperationFailedError(`The image has data at ${start} that are not plain: expected an image without compression`);
  return offset;
}

/** Of clusters that are not zeros. */
function dataBytesOf(piece: Buffer): number {
  const isZero = (part: Buffer): boolean => part.equals(ZEROS.subarray(0, part.length));
  if (isZero(piece)) return 0;
  let dataBytes = 0;
  for (let at = 0; at < piece.length; at += CLUSTER_BYTES) {
    const cluster = piece.subarray(at, at + CLUSTER_BYTES);
    if (!isZero(cluster)) dataBytes += cluster.length;
  }
  return dataBytes;
}

async function read(file: FileHandle, offsetBytes: number, sizeBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(sizeBytes);
  await file.read(buffer, 0, sizeBytes, offsetBytes); // what lies behind the end stays zeros
  return buffer;
}
