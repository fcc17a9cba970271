import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { listFiles, ROOT } from './source-files.ts';

/** Targets of links that lead to nothing in this tree. */
const brokenIn = (path: string, text: string): string[] =>
  [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target).filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(path), target)));

describe('a link in the documentation', () => {
  test.each(['README.md', ...listFiles(['docs'], ['.md'])])('of %s leads somewhere', (path) => {
    expect(brokenIn(path, readFileSync(join(ROOT, path), 'utf8'))).toEqual([]);
  });

  test('that leads nowhere would be found', () => {
    expect(brokenIn('docs/a.md', '[here](operating.md#keystone) [there](../README.md) [web](https://example.org/) [gone](../conductor/gone.ts)')).toEqual(['../conductor/gone.ts']);
  });
});
