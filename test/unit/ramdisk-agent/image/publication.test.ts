import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { checkReplaceable, publishDirectory } from '../../../../ramdisk-agent/image/publication.ts';

let parent: string;
let directory: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'metalshot-publication-'));
  directory = join(parent, 'ramdisk');
});
afterEach(() => {
  rmSync(parent, { recursive: true, force: true });
});

describe('a ramdisk directory', () => {
  test('is replaced as a whole: the old one stands until the new one is complete', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'vmlinuz'), 'old');
    writeFileSync(join(directory, 'manifest.json'), 'old');
    let seenMeanwhile: string[] = [];
    await publishDirectory(directory, async (building) => {
      await writeFile(join(building, 'vmlinuz'), 'new');
      seenMeanwhile = readdirSync(directory);
    });
    expect(seenMeanwhile.sort()).toEqual(['manifest.json', 'vmlinuz']);
    expect(readdirSync(directory)).toEqual(['vmlinuz']);
    expect(readFileSync(join(directory, 'vmlinuz'), 'utf8')).toBe('new');
    expect(readdirSync(parent)).toEqual(['ramdisk']);
  });

  test('stays as it was when the build fails, and nothing is left beside it', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'vmlinuz'), 'old');
    await expect(publishDirectory(directory, () => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
    expect([readdirSync(parent), readFileSync(join(directory, 'vmlinuz'), 'utf8')]).toEqual([['ramdisk'], 'old']);
  });

  test('that holds something else is never replaced', () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'thesis.tex'), '');
    expect(() => checkReplaceable(directory)).toThrow('it holds more than a ramdisk: thesis.tex');
    expect(existsSync(join(directory, 'thesis.tex'))).toBe(true);
  });
});
