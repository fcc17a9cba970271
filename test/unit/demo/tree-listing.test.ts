import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { compareListings, countBytes, countFiles, listTree, type TreeListing } from '../../../demo/tree-listing.ts';

let work: string;
let tree: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tree-test-'));
  tree = join(work, 'tree');
  await mkdir(join(tree, 'inner'), { recursive: true });
  await writeFile(join(tree, 'inner', 'a name with\na line break'), 'content');
  await writeFile(join(tree, '\\backslash'), 'more');
  await writeFile(join(tree, 'empty'), '');
  await symlink('inner/nowhere', join(tree, 'link'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

const list = (): Promise<TreeListing> => listTree({ directory: tree, workDirectory: work });

describe('the listing of a tree', () => {
  test('holds every entry, whatever its name, with digest, mode and link target', async () => {
    const listing = await list();
    expect([...listing.keys()].sort()).toEqual(['./\\backslash', './empty', './inner', './inner/a name with\na line break', './link']);
    expect(listing.get('./empty')).toMatch(/^f 644 \d+:\d+ 1 0 .*e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855$/);
    expect(listing.get('./link')).toMatch(/^l .* inner\/nowhere$/);
    expect([countFiles(listing), countBytes(listing)]).toEqual([3, 11]);
  });

  test.each<[string, () => Promise<void>, RegExp]>([
    ['another content of the same length', () => writeFile(join(tree, '\\backslash'), 'MORE'), /backslash: expected/],
    ['another mode', () => chmod(join(tree, 'empty'), 0o600), /empty: expected "f 644/],
    ['a missing file', () => rm(join(tree, 'empty')), /empty: missing/],
    ['a file too many', () => writeFile(join(tree, 'new'), ''), /new: not expected/],
  ])('%s is noticed and named', async (_name, change, message) => {
    const before = await list();
    expect(compareListings(before, await list())).toEqual([]);
    await change();
    const differences = compareListings(before, await list());
    expect(differences).toHaveLength(1);
    expect(differences[0]).toMatch(message);
  });
});
