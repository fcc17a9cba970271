import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeDiskStream, diskStreamLength, encodeDiskStream, type DiskStreamPart, type Extent } from '../../../protocol/disk-stream.ts';

const SECTOR = 512;

/** A disk and which sectors of it are sent. */
interface Disk {
  content: Buffer;
  extents: Extent[];
}

/** Sectors that are holes, begin an extent or go on with one; each with its own bytes. */
const disks: fc.Arbitrary<Disk> = fc.array(fc.record({ kind: fc.constantFrom('hole', 'begin', 'go on'), seed: fc.integer({ min: 1, max: 255 }) }), { maxLength: 24 }).map((sectors) => {
  const content = Buffer.alloc(sectors.length * SECTOR);
  const extents: Extent[] = [];
  sectors.forEach(({ kind, seed }, index) => {
    if (kind === 'hole') return;
    for (let at = 0; at < SECTOR; at += 1) content[index * SECTOR + at] = (seed * (at + 1)) % 256;
    const last = extents.at(-1);
    if (kind === 'go on' && last && last.offsetBytes + last.lengthBytes === index * SECTOR) last.lengthBytes += SECTOR;
    else extents.push({ offsetBytes: index * SECTOR, lengthBytes: SECTOR });
  });
  return { content, extents };
});

async function* cut(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
  await Promise.resolve();
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const length = lengths.length === 0 ? bytes.length : lengths[turn % lengths.length]!;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

async function encode({ content, extents }: Disk, chunkLengths: readonly number[] = []): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of encodeDiskStream(content.length, extents, ({ offsetBytes, lengthBytes }) => cut(content.subarray(offsetBytes, offsetBytes + lengthBytes), chunkLengths))) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function decode(stream: Buffer, chunkLengths: readonly number[] = []): Promise<DiskStreamPart[]> {
  const parts: DiskStreamPart[] = [];
  for await (const part of decodeDiskStream(cut(stream, chunkLengths))) parts.push(part);
  return parts;
}

function rebuild(parts: readonly DiskStreamPart[], sizeBytes: number): Buffer {
  const disk = Buffer.alloc(sizeBytes);
  for (const part of parts) if (part.type === 'data') part.bytes.copy(disk, part.offsetBytes);
  return disk;
}

const ONE: Disk = { content: Buffer.alloc(4 * SECTOR, 7), extents: [{ offsetBytes: SECTOR, lengthBytes: 2 * SECTOR }] };
const chunkLengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });

describe('a disk stream', () => {
  test('brings every byte to its place, whatever the disk and wherever its chunks begin and end', async () => {
    await fc.assert(
      fc.asyncProperty(disks, chunkLengths, chunkLengths, async (disk, sent, received) => {
        const stream = await encode(disk, sent);
        expect(stream.length).toBe(diskStreamLength(disk.extents));
        const parts = await decode(stream, received);
        expect(rebuild(parts, disk.content.length).equals(disk.content)).toBe(true);
        const dataBytes = disk.extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
        expect(parts[0]).toEqual({ type: 'header', header: { virtualSizeBytes: disk.content.length, dataBytes } });
        expect(parts.flatMap((part) => (part.type === 'extent' ? [part.extent] : []))).toEqual(disk.extents);
        expect(parts.at(-1)).toMatchObject({ type: 'end', sha512: expect.stringMatching(/^[0-9a-f]{128}$/) });
      }),
      { numRuns: 200 },
    );
  });

  test('also where empty chunks are between', async () => {
    const stream = await encode(ONE);
    async function* withEmpty(): AsyncGenerator<Buffer> {
      for await (const chunk of cut(stream, [100])) {
        yield Buffer.alloc(0);
        yield chunk;
      }
      yield Buffer.alloc(0);
    }
    const parts: DiskStreamPart[] = [];
    for await (const part of decodeDiskStream(withEmpty())) parts.push(part);
    expect(parts.at(-1)).toMatchObject({ type: 'end' });
  });

  test('that is cut at any byte never reaches its end', async () => {
    const stream = await encode(ONE);
    for (let length = 0; length < stream.length; length += length < 60 || length > stream.length - 100 ? 1 : 37) {
      await expect(decode(stream.subarray(0, length), [64])).rejects.toThrow('ended early');
    }
  });

  test('with any bit flipped never reaches its end', async () => {
    await fc.assert(
      fc.asyncProperty(disks, fc.nat(), chunkLengths, async (disk, where, received) => {
        const stream = await encode(disk);
        const bit = where % (stream.length * 8);
        stream[bit >> 3] = stream[bit >> 3]! ^ (1 << (bit & 7));
        await expect(decode(stream, received)).rejects.toThrow(/disk stream/);
      }),
      { numRuns: 300 },
    );
  });

  test('that goes on after its end is refused', async () => {
    await expect(decode(Buffer.concat([await encode(ONE), Buffer.from([0])]), [97])).rejects.toThrow('goes on after its digest');
  });

  test('is told apart from other data', async () => {
    await expect(decode(Buffer.alloc(4096, 'QFI'))).rejects.toThrow('expected a disk stream');
  });
});

describe('frames that make no sense', () => {
  const read = (): AsyncIterable<Buffer> => cut(Buffer.alloc(SECTOR), []);
  test.each([
    ['one that is empty', [{ offsetBytes: 0, lengthBytes: 0 }]],
    ['one that is not aligned', [{ offsetBytes: 1, lengthBytes: SECTOR }]],
    ['one of a part of a sector', [{ offsetBytes: 0, lengthBytes: 100 }]],
    ['one beyond the end', [{ offsetBytes: 4 * SECTOR, lengthBytes: SECTOR }]],
    ['one that overlaps an earlier one', [{ offsetBytes: SECTOR, lengthBytes: SECTOR }, { offsetBytes: SECTOR, lengthBytes: SECTOR }]],
    ['ones that run backwards', [{ offsetBytes: SECTOR, lengthBytes: SECTOR }, { offsetBytes: 0, lengthBytes: SECTOR }]],
  ])('%s is refused before anything is sent', async (_what, extents) => {
    await expect(encodeDiskStream(4 * SECTOR, extents, read).next()).rejects.toThrow('has a frame of');
  });

  test('are refused by the reader as well, before their data are passed on', async () => {
    const stream = await encode(ONE);
    stream.writeBigUInt64BE(BigInt(4 * SECTOR), 24); // the first frame's offset, behind the header
    const parts: DiskStreamPart[] = [];
    await expect(
      (async () => {
        for await (const part of decodeDiskStream(cut(stream, []))) parts.push(part);
      })(),
    ).rejects.toThrow('has a frame of 1024 bytes at 2048');
    expect(parts.map(({ type }) => type)).toEqual(['header']);
  });

  test('more data than the header announces are refused before they are passed on', async () => {
    const stream = await encode(ONE);
    stream.writeBigUInt64BE(BigInt(SECTOR), 16);
    await expect(decode(stream)).rejects.toThrow('announced 512 bytes of data and has more');
  });
});

describe('the source', () => {
  test.each([
    ['fewer', SECTOR],
    ['more', 3 * SECTOR],
  ])('that yields %s bytes than the extent has fails the encoding', async (_what, length) => {
    const encoded = encodeDiskStream(4 * SECTOR, ONE.extents, () => cut(Buffer.alloc(length), [SECTOR]));
    await expect(
      (async () => {
        for await (const piece of encoded) expect(piece.length).toBeGreaterThan(0);
      })(),
    ).rejects.toThrow('expected 1024 bytes at 512, read');
  });

  test.each(['when its reader leaves off', 'when it is refused'])('is closed %s', async (when) => {
    const stream = when === 'when it is refused' ? Buffer.alloc(4096) : await encode(ONE);
    let closed = false;
    async function* source(): AsyncGenerator<Buffer, void, undefined> {
      try {
        yield* cut(stream, [32]);
      } finally {
        closed = true;
      }
    }
    const read = async (): Promise<void> => {
      for await (const part of decodeDiskStream(source())) if (part.type === 'data') break;
    };
    await (when === 'when it is refused' ? expect(read()).rejects.toThrow('expected a disk stream') : read());
    expect(closed).toBe(true);
  });
});
