import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { isElf, readElfLinks, readElfSection, withoutSymbols } from '../../../../ramdisk-agent/image/elf-file.ts';

const NODE = readFileSync(process.execPath);

describe('an ELF file', () => {
  test('names the libraries that ldd finds for it', () => {
    const { needed, interpreter } = readElfLinks(NODE);
    const found = spawnSync('ldd', [process.execPath], { encoding: 'utf8' }).stdout;
    expect(needed.length).toBeGreaterThan(3);
    expect(needed.filter((name) => !found.includes(`${name} =>`) && !found.includes(`/${name} `))).toEqual([]);
    expect(interpreter).toMatch(/^\/lib64\/ld-linux/);
  });

  test('that is static names none', () => {
    expect(readElfLinks(readFileSync('/bin/busybox'))).toEqual({ needed: [], runPaths: [], interpreter: null });
  });

  test('shows its sections by name', () => {
    expect(readElfSection(NODE, '.interp')?.toString()).toBe(`${readElfLinks(NODE).interpreter}\0`);
    expect(readElfSection(NODE, '.modinfo')).toBeNull();
  });

  test('runs without its symbols, and is smaller by them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'metalshot-elf-'));
    try {
      const path = join(directory, 'node');
      const small = withoutSymbols(NODE);
      writeFileSync(path, small);
      chmodSync(path, 0o755);
      expect(small.length).toBeLessThanOrEqual(NODE.length);
      expect(withoutSymbols(small).equals(small)).toBe(true);
      expect(spawnSync(path, ['-p', 'process.version'], { encoding: 'utf8' }).stdout.trim()).toBe(process.version);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each([
    ['a text', Buffer.from('#!/bin/sh\n'.repeat(20)), 'expected an ELF file'],
    ['a file cut short', NODE.subarray(0, 200), 'damaged'],
  ])('%s is refused', (_what, bytes, message) => {
    expect(isElf(bytes)).toBe(message === 'damaged');
    expect(() => readElfLinks(bytes)).toThrow(message);
  });
});
