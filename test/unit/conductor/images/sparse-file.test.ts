import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { SparseFile } from '../../../../conductor/images/sparse-file.ts';

const KIB = 1024;
let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparse-file-'));
  path = join(directory, 'file');
});
afterEach(() => rm(directory, { recursive: true }));

test.each([1, 511, 4096, 64 * KIB, 100_001, 3_000_000])('data in pieces of %i bytes arrive as they were, zeros as holes', async (pieceBytes) => {
  const data = Buffer.concat([randomBytes(70 * KIB), Buffer.alloc(1024 * KIB), randomBytes(3), Buffer.alloc(700 * KIB), randomBytes(200 * KIB), Buffer.alloc(300 * KIB + 7)]);
  const total = pieceBytes === 1 ? 90 * KIB : data.length;
  const pieces = Array.from({ length: Math.ceil(total / pieceBytes) }, (_, index) => data.subarray(index * pieceBytes, Math.min((index + 1) * pieceBytes, total)));
  const file = new SparseFile(path, data.length);
  await pipeline(Readable.from(pieces), file);
  await file.settled();
  expect((await readFile(path)).equals(data.subarray(0, total))).toBe(true);
  if (total === data.length) expect((await stat(path)).blocks * 512).toBeLessThan(600 * KIB);
});

test('zeros only, and nothing at all', async () => {
  for (const data of [Buffer.alloc(5_000_000), Buffer.alloc(0)]) {
    await rm(path, { force: true });
    await pipeline(Readable.from([data]), new SparseFile(path, 5_000_000));
    expect(await stat(path)).toMatchObject({ size: data.length, blocks: 0 });
  }
});

test('a byte too many ends it', async () => {
  const file = new SparseFile(path, 1000);
  await expect(pipeline(Readable.from([Buffer.alloc(600), Buffer.alloc(401)]), file)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('1000 bytes') });
  await file.settled();
});

test('a file that is there already is not written to', async () => {
  await writeFile(path, 'kept');
  const file = new SparseFile(path, 1000);
  file.on('error', () => undefined);
  await expect(pipeline(Readable.from(['x']), file)).rejects.toMatchObject({ code: 'EEXIST' });
  await file.settled();
  expect(await readFile(path, 'utf8')).toBe('kept');
});
