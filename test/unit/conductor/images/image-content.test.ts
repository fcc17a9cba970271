import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatsOf, requireContent } from '../../../../conductor/images/image-content.ts';
import { bounded } from '../../../rig/bounded-work.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-content-'));
  path = join(directory, 'image.raw');
});
afterEach(() => rm(directory, { recursive: true }));

test.each([
  ['plain', 'version=1\n'],
  ['with blanks', '  version = 1\n'],
  ['after comments and empty lines of both kinds', '# one\r\n\r\n \t\n#two\nversion=1\n'],
  ['after many comments', `${'#\r\n'.repeat(1300)}version=1\n`],
])('a VMDK descriptor is known, %s', async (_how, text) => {
  await writeFile(path, text);
  await expect(requireContent(path, 'raw', 'x')).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('its data are vmdk') });
});

test.each([
  ['a comment only', '# version=1\n'],
  ['a setting of something else first', 'name=x\nversion=1\n'],
  ['a longer word', 'versions=1\n'],
])('text with %s is none', async (_how, text) => {
  await writeFile(path, text);
  await expect(requireContent(path, 'raw', 'x')).resolves.toBeUndefined();
});

test.each(['#\r\n', '\r\n', ' \r', '#\r', ' #\t', 'version'])('the look at %j, again and again, has an end', (line) => {
  const text = Buffer.from(line.repeat(8 * 1024));
  expect(bounded(() => formatsOf(text))).toEqual([]);
});
