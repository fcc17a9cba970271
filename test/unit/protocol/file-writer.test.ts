import { constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { allocatePages, DIRECT_BLOCK_BYTES, DirectFile } from '../../../protocol/direct-io.ts';
import { FileWriter } from '../../../protocol/file-writer.ts';

const MIB = 1024 ** 2;
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
/** A file system in memory beside one on a disk: what one refuses, the other may take. */
const PLACES = [['a disk', tmpdir()], ['memory', '/dev/shm']] as const;

describe.each(PLACES)('a file on %s', (_name, place) => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(place, 'metalshot-writer-'));
    path = join(directory, 'file');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function write(pieces: readonly Buffer[]): Promise<number> {
    const writer = await FileWriter.open(path, NEW_FILE, 0o600);
    try {
      for (const piece of pieces) await writer.append(piece);
      return (await writer.finish()).size;
    } finally {
      await writer.close();
    }
  }

  test.each([
    ['nothing', []],
    ['a byte', [1]],
    ['less than a block, and a block', [100, DIRECT_BLOCK_BYTES]],
    ['just what it holds', [MIB, MIB]],
    ['a byte more and less than that', [MIB + 1, MIB - 2, 1]],
    ['much at once', [5 * MIB + 17]],
    ['odd pieces', [65_536, 1, 65_535, 3 * MIB, 12_345, 700_001]],
  ])('is what was appended, byte for byte: %s', async (_what, sizes) => {
    const pieces = sizes.map((size) => randomBytes(size));
    const whole = Buffer.concat(pieces);
    expect(await write(pieces)).toBe(whole.length);
    expect((await readFile(path)).equals(whole)).toBe(true);
  });

  test('is not touched by what its writer’s memory held of another', async () => {
    await write([Buffer.alloc(2 * MIB, 0xff)]);
    await rm(path);
    await write([Buffer.from('short')]);
    expect(await readFile(path, 'utf8')).toBe('short');
  });

  test('may be closed in the middle, and twice', async () => {
    const writer = await FileWriter.open(path, NEW_FILE, 0o600);
    await writer.append(randomBytes(3 * MIB));
    await writer.close();
    await writer.close();
  });

  test('that is there already is not written over', async () => {
    await write([Buffer.from('first')]);
    await expect(FileWriter.open(path, NEW_FILE, 0o600)).rejects.toThrow(/EEXIST/);
    expect(await readFile(path, 'utf8')).toBe('first');
  });

  test('is read at places and in lengths that no direct access takes', async () => {
    const whole = randomBytes(10_000);
    await write([whole]);
    const file = await DirectFile.open(path, constants.O_RDONLY);
    try {
      const memory = allocatePages(65_536);
      expect(await file.read(memory.subarray(0, 333), 777)).toBe(333);
      expect(memory.subarray(0, 333).equals(whole.subarray(777, 1110))).toBe(true);
      expect(await file.read(memory, 0)).toBe(10_000);
      expect(await file.read(memory, 10_000)).toBe(0);
    } finally {
      await file.close();
    }
  });
});

test('a full file system is told, at the latest at the end', async () => {
  const writer = await FileWriter.open('/dev/full', constants.O_WRONLY, 0o600);
  try {
    const writing = async (): Promise<void> => {
      await writer.append(randomBytes(3 * MIB));
      await writer.finish();
    };
    await expect(writing()).rejects.toMatchObject({ code: 'ENOSPC' });
  } finally {
    await writer.close();
  }
});
