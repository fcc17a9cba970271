import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cpioPieces, createCpioArchive, type CpioEntry } from '../../../protocol/cpio-archive.ts';

const ENTRIES: CpioEntry[] = [
  { type: 'directory', path: 'etc', mode: 0o700 },
  { type: 'file', path: 'etc/a', content: 'x' },
  { type: 'file', path: 'etc/program', content: Buffer.from([0, 1, 2, 255, 0]), mode: 0o4755 },
  { type: 'file', path: 'etc/empty', content: '' },
  { type: 'file', path: 'etc/grüße', content: 'text of a length that is no multiple of four' },
  { type: 'symlink', path: 'link', target: 'etc/a' },
];

describe('a cpio archive', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'metalshot-cpio-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const cpio = (args: string[], input: Buffer) => spawnSync('cpio', [...args, '--quiet'], { cwd: directory, input, encoding: 'utf8' });

  test('is unpacked by the cpio program to the same files, links and modes', () => {
    const { status, stderr } = cpio(['--extract', '--make-directories', '--preserve-modification-time', '--no-preserve-owner'], createCpioArchive(ENTRIES, { mtime: 1_000_000_000 }));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(readdirSync(directory, { recursive: true }).sort()).toEqual(['etc', 'etc/a', 'etc/empty', 'etc/grüße', 'etc/program', 'link']);
    expect(readFileSync(join(directory, 'etc/program'))).toEqual(Buffer.from([0, 1, 2, 255, 0]));
    expect(readFileSync(join(directory, 'etc/grüße'), 'utf8')).toBe('text of a length that is no multiple of four');
    expect(readlinkSync(join(directory, 'link'))).toBe('etc/a');
    expect([statSync(join(directory, 'etc')).mode & 0o7777, statSync(join(directory, 'etc/a')).mode & 0o7777]).toEqual([0o700, 0o644]);
    expect(statSync(join(directory, 'etc/a')).mtimeMs).toBe(1_000_000_000_000);
  });

  test('lists devices with their numbers, everything owned by root', () => {
    const archive = createCpioArchive([{ type: 'character-device', path: 'console', major: 5, minor: 1 }, { type: 'block-device', path: 'disk', major: 259, minor: 3, mode: 0o660 }]);
    const lines = cpio(['--list', '--verbose', '--numeric-uid-gid'], archive).stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^crw-{7} +1 0 +0 +5, +1 .* console$/);
    expect(lines[1]).toMatch(/^brw-rw-{4} +1 0 +0 +259, +3 .* disk$/);
  });

  test('has the same bytes whenever it is made, whole or in pieces', () => {
    const made = createCpioArchive(ENTRIES);
    expect(createCpioArchive(structuredClone(ENTRIES))).toEqual(made);
    expect(Buffer.concat([...cpioPieces(ENTRIES)])).toEqual(made);
  });

  test('takes entries one by one: the second is asked for only when the first has been taken', () => {
    const asked: string[] = [];
    function* entries(): Generator<CpioEntry> {
      for (const path of ['one', 'two']) {
        asked.push(path);
        yield { type: 'file', path, content: path };
      }
    }
    const pieces = cpioPieces(entries());
    pieces.next();
    expect(asked).toEqual(['one']);
  });

  test.each(['/etc', 'etc/../x', './etc', '', 'etc//x', 'a\0b', 'TRAILER!!!'])('refuses the path %j', (path) => {
    expect(() => createCpioArchive([{ type: 'directory', path }])).toThrow('expected a relative path');
  });

  test('refuses a path that is there twice, and numbers that do not fit', () => {
    expect(() => createCpioArchive([ENTRIES[0]!, ENTRIES[0]!])).toThrow('etc is in the cpio archive twice');
    expect(() => createCpioArchive(ENTRIES, { mtime: 2 ** 32 })).toThrow('32 bits');
  });
});
