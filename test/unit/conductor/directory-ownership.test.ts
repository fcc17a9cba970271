import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ownDirectory } from '../../../conductor/directory-ownership.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'owned-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a directory has one owner at a time, by whatever path it is named; another one gets it once it is free', async () => {
  const release = await ownDirectory(directory);
  await expect(ownDirectory(join(directory, '.'))).rejects.toThrow(/state_directory: another conductor works in/);
  await release();
  await (await ownDirectory(directory))();
});
