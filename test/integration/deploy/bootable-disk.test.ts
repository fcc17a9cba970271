import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Disk } from '../../../demo/disk.ts';
import { bootFromDisk, buildBootableDisk } from '../../rig/bootable-disk.ts';

/** The witness that other tests rely on: it must be able to say no. */
describe('the bootable disk of these tests', () => {
  let directory: string;
  let disk: Disk;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-bootable-'));
    disk = await buildBootableDisk(directory, { sizeBytes: 512 * 1024 ** 2, share: 0.01 });
  }, 120_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('boots from its own boot loader, which finds its files as they were', async () => {
    const said = await bootFromDisk(disk.path);
    expect(said).toContain('OWN DISK BOOTED');
    expect(said).toContain('gold');
    expect(said).toMatch(/witness-1: OK/);
    expect(said).toMatch(/witness-2: OK/);
    expect(said).toContain('END OF BOOT');
  }, 200_000);

  test('does not say so when a file has changed', async () => {
    const image = await open(disk.path, 'r+');
    try {
      const content = await image.readFile();
      const at = content.indexOf('first file of which the boot loader');
      expect(at).toBeGreaterThan(0);
      await image.write(Buffer.from('F'), 0, 1, at);
    } finally {
      await image.close();
    }
    const said = await bootFromDisk(disk.path);
    expect(said).toMatch(/witness-1: HASH MISMATCH/);
    expect(said).not.toMatch(/witness-1: OK/);
  }, 200_000);
});
