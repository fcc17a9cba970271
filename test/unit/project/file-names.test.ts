import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { listFiles, ROOMS, ROOT } from './source-files.ts';

const LONGEST_LINES = 300;
const FILES = listFiles([...ROOMS, 'test', 'scripts'], ['.ts', '.mjs', '.js', '.sh']);

/** A drawer says nothing about what is in it. */
const isDrawer = (path: string): boolean => path.split(/[/.-]/).some((word) => /^(utils?|helpers?|common|managers?)$/.test(word));
const isKebabCase = (path: string): boolean => path.split('/').every((name) => /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(name));
const isTooLong = (text: string): boolean => text.trimEnd().split('\n').length > LONGEST_LINES;

describe('a file', () => {
  test('is named for the noun in it: no utils, helpers, common, manager', () => {
    expect(FILES.filter(isDrawer)).toEqual([]);
  });

  test('has a name in kebab-case', () => {
    expect(FILES.filter((path) => !isKebabCase(path))).toEqual([]);
  });

  test(`is no longer than ${LONGEST_LINES} lines`, () => {
    expect(FILES.filter((path) => isTooLong(readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
  });

  test('is there at all, in every room', () => {
    expect(ROOMS.filter((room) => !FILES.some((path) => path.startsWith(`${room}/`)))).toEqual([]);
  });

  test.each(['conductor/utils/pause.ts', 'cli/table-helper.ts', 'webdav/common.ts', 'conductor/lock-manager.ts', 'test/helpers/until.ts'])('named %s would be found', (path) => {
    expect(isDrawer(path)).toBe(true);
  });

  test.each(['cli/apiClient.ts', 'webdav/Share.ts', 'protocol/http_client.ts'])('named %s would be found too', (path) => {
    expect(isKebabCase(path)).toBe(false);
  });

  test('of 301 lines would be found, one of 300 not', () => {
    expect([isTooLong('x\n'.repeat(301)), isTooLong('x\n'.repeat(300))]).toEqual([true, false]);
  });
});
