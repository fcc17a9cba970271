import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { listFiles, ROOMS, ROOT } from './source-files.ts';

/** What is not meant to stay and the linter does not know of, and a sample of each that must be found. */
const LEFTOVERS: readonly (readonly [what: string, pattern: RegExp, sample: string])[] = [
  ['work put off', /\b(TODO|FIXME|XXX|HACK)\b/, '// TODO: later'],
  ['a test that runs alone', /\b(test|it|describe)\.only\b|\b(fit|fdescribe)\(/, `test.only('x', () => undefined);`],
  ['a test without a body', /\b(test|it)\.todo\b/, `test.todo('x');`],
  ['an escape from the compiler', /@ts-(ignore|nocheck|expect-error)\b/, '// @ts-expect-error: why'],
];
const FILES = listFiles([...ROOMS, 'test', 'scripts'], ['.ts', '.mjs']).filter((path) => !path.startsWith('test/unit/project/')); // the samples stand here

describe('nothing is left in a file that was not meant to stay', () => {
  test.each(LEFTOVERS)('%s', (_what, pattern) => {
    expect(FILES.filter((path) => pattern.test(readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
  });

  test.each(LEFTOVERS)('%s would be found', (_what, pattern, sample) => {
    expect(sample).toMatch(pattern);
  });
});
