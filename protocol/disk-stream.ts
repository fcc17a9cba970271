/**
 * A disk on its way to a machine: only what is not zero, in ascending order, with a digest at the end. Whatever no frame
 * covers reads as zeros. All numbers are big-endian and of 64 bits.
 *
 *     "MSDISK1\n" | virtual size | bytes of data in all frames
 *     offset | length | data          for each frame; offsets and lengths are multiples of 512
 *     2^64-1 | 0                      end of the frames
 *     sha512 (64 bytes) of everything before it
 */
import { createHash } from 'node:crypto';
import { OperationFailedError } from './errors.ts';

export const DISK_STREAM_TYPE = 'application/vnd.metalshot.disk-stream';

const MAGIC = Buffer.from('MSDISK1\n', 'ascii');
const END_OFFSET = 2n ** 64n - 1n;
const HEADER_BYTES = MAGIC.length + 16;
const FRAME_BYTES = 16;
const DIGEST_BYTES = 64;
const ALIGNMENT_BYTES = 512;

export interface DiskStreamHeader {
  virtualSizeBytes: number;
  dataBytes: number;
}
/** A range of the disk that is not zeros throughout. */
export interface Extent {
  offsetBytes: number;
  lengthBytes: number;
}
/** What a reader is given: the header first, then data in ascending order, at last the digest, proven to be that of what came. */
export type DiskStreamPart = { type: 'header'; header: DiskStreamHeader } | { type: 'extent'; extent: Extent } | { type: 'data'; offsetBytes: number; bytes: Buffer } | { type: 'end'; sha512: string };

/** Length of the whole stream in bytes, known beforehand. */
export const diskStreamLength = (extents: readonly Extent[]): number => extents.reduce((sum, { lengthBytes }) => sum + FRAME_BYTES + lengthBytes, HEADER_BYTES + FRAME_BYTES + DIGEST_BYTES);

/**
 * Encodes extents whose bytes `read` yields; memory is that of one chunk.
 * @throws OperationFailedError for extents that a reader would refuse, before anything is sent; and when `read` yields another number of bytes than the extent has.
 */
export async function* encodeDiskStream(virtualSizeBytes: number, extents: readonly Extent[], read: (extent: Extent) => AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  extents.reduce((position, extent) => endOf(extent, position, virtualSizeBytes), 0);
  const hash = createHash('sha512');
  const digested = (bytes: Buffer): Buffer => {
    hash.update(bytes);
    return bytes;
  };
  const dataBytes = extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  yield digested(Buffer.concat([MAGIC, pair(BigInt(virtualSizeBytes), BigInt(dataBytes))]));
  for (const extent of extents) {
    yield digested(pair(BigInt(extent.offsetBytes), BigInt(extent.lengthBytes)));
    let sent = 0;
    for await (const chunk of read(extent)) {
      sent += chunk.length;
      if (sent > extent.lengthBytes) break;
      yield digested(chunk);
    }
    if (sent !== extent.lengthBytes) throw new OperationFailedError(`expected ${extent.lengthBytes} bytes at ${extent.offsetBytes}, read ${sent}`);
  }
  yield digested(pair(END_OFFSET, 0n));
  yield hash.digest();
}

/**
 * Decodes what `encodeDiskStream` made. `chunks` is closed on every path, also when the caller leaves off.
 * @throws OperationFailedError for anything that is no such stream, one that ends early or goes on after its end, and a digest that does not match.
 */
export async function* decodeDiskStream(chunks: AsyncIterable<Buffer>): AsyncGenerator<DiskStreamPart, void, undefined> {
  const input = new ByteReader(chunks);
  try {
    yield* decode(input);
  } finally {
    await input.close();
  }
}

async function* decode(input: ByteReader): AsyncGenerator<DiskStreamPart, void, undefined> {
  const hash = createHash('sha512');
  const digested = async (length: number): Promise<Buffer> => {
    const bytes = await input.exactly(length);
    hash.update(bytes);
    return bytes;
  };
  const start = await digested(HEADER_BYTES);
  if (!start.subarray(0, MAGIC.length).equals(MAGIC)) throw new OperationFailedError(`expected a disk stream, found data that begins with ${start.subarray(0, MAGIC.length).toString('hex')}`);
  const header = { virtualSizeBytes: sizeOf(start, MAGIC.length), dataBytes: sizeOf(start, MAGIC.length + 8) };
  yield { type: 'header', header };
  let position = 0;
  let received = 0;
  for (;;) {
    const frame = await digested(FRAME_BYTES);
    if (frame.readBigUInt64BE(0) === END_OFFSET && frame.readBigUInt64BE(8) === 0n) break;
    const extent = { offsetBytes: sizeOf(frame, 0), lengthBytes: sizeOf(frame, 8) };
    const end = endOf(extent, position, header.virtualSizeBytes);
    if (received + extent.lengthBytes > header.dataBytes) throw new OperationFailedError(`the disk stream announced ${header.dataBytes} bytes of data and has more`);
    yield { type: 'extent', extent };
    position = extent.offsetBytes;
    while (position < end) {
      const bytes = await input.atMost(end - position);
      hash.update(bytes);
      yield { type: 'data', offsetBytes: position, bytes };
      position += bytes.length;
      received += bytes.length;
    }
  }
  if (received !== header.dataBytes) throw new OperationFailedError(`the disk stream announced ${header.dataBytes} bytes of data and had ${received}`);
  const sha512 = hash.digest('hex');
  const told = (await input.exactly(DIGEST_BYTES)).toString('hex');
  if (told !== sha512) throw new OperationFailedError(`the digest of the disk stream is ${sha512}, its sender says ${told}`);
  if (!(await input.ended())) throw new OperationFailedError('the disk stream goes on after its digest');
  yield { type: 'end', sha512 };
}

/** Where the extent ends. @throws OperationFailedError unless it is not empty, aligned, not before `position`, and within the disk. */
function endOf({ offsetBytes, lengthBytes }: Extent, position: number, virtualSizeBytes: number): number {
  const end = offsetBytes + lengthBytes;
  if (lengthBytes > 0 && offsetBytes >= position && end <= virtualSizeBytes && offsetBytes % ALIGNMENT_BYTES === 0 && lengthBytes % ALIGNMENT_BYTES === 0) return end;
  throw new OperationFailedError(`the disk stream has a frame of ${lengthBytes} bytes at ${offsetBytes}, after ${position}, in a disk of ${virtualSizeBytes} bytes`);
}

function pair(first: bigint, second: bigint): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(first, 0);
  bytes.writeBigUInt64BE(second, 8);
  return bytes;
}

function sizeOf(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64BE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new OperationFailedError(`the disk stream has a number that is too large: ${value}`);
  return Number(value);
}

/** Bytes of a stream in portions that the reader asks for; holds one chunk. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async exactly(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      const part = await this.atMost(missing);
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  async atMost(length: number): Promise<Buffer> {
    if (await this.ended()) throw new OperationFailedError('the disk stream ended early');
    const part = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async ended(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#rest = next.value;
    }
    return false;
  }

  async close(): Promise<void> {
    this.#rest = Buffer.alloc(0);
    await this.#chunks.return?.();
  }
}
