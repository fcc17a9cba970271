import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { describePart } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import { crashCopy, fillAndDelete, makeDisk, mapOf, MIB, mounted, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(120_000);

const RANGE = { offsetBytes: MIB, sizeBytes: 320 * MIB };
const DISK_BYTES = RANGE.offsetBytes + RANGE.sizeBytes + MIB;

/** A disk whose power failed while its file system was mounted and had been written to: some of it, or also all of it, is on the disk. */
async function makeCrashedDisk(directory: string, make: readonly string[]): Promise<string> {
  const [path, crashed] = [join(directory, 'disk.img'), join(directory, 'crashed.img')];
  await makeDisk(path, DISK_BYTES, `label: gpt\nstart=${RANGE.offsetBytes / 512}, size=${RANGE.sizeBytes / 512}\n`);
  await onLoop(path, RANGE, (device) => run(make[0]!, ...make.slice(1), device));
  await mounted(path, RANGE, async (root) => {
    await fillAndDelete(root);
    await run('sync', '--file-system', root);
    await writeFile(join(root, 'saved'), 'must not get lost', { flush: true });
    await rm(join(root, 'large'));
    await crashCopy(path, crashed);
  });
  return crashed;
}

describe('a file system that was not unmounted is read in full, because its map would lie', () => {
  test.each([
    ['ext2', ['mke2fs', '-q', '-F', '-t', 'ext2'], 'its state is "not clean"'],
    ['ext3', ['mke2fs', '-q', '-F', '-t', 'ext3'], 'its journal has to be replayed: it was not unmounted'],
    ['ext4', ['mke2fs', '-q', '-F', '-t', 'ext4'], 'its journal has to be replayed: it was not unmounted'],
    ['xfs', ['mkfs.xfs', '-q'], 'its log has to be replayed: it was not unmounted'],
  ])('%s', (content, make, reason) =>
    withDirectory(async (directory) => {
      const crashed = await makeCrashedDisk(directory, make);
      const map = await mapOf(crashed, DISK_BYTES);
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
      const partition = map.parts.find(({ what }) => what === 'partition 1')!;
      expect(partition).toEqual({ what: 'partition 1', ...RANGE, content, state: 'dirty', treatment: 'read in full', usedBytes: RANGE.sizeBytes, reason });
      expect(describePart(partition)).toBe(`partition 1: ${content}, dirty, 320 MiB, read in full (${reason})`);
    }),
  );
});

test('an ext4 that hides its need of recovery is found out by its journal', () =>
  withDirectory(async (directory) => {
    const crashed = await makeCrashedDisk(directory, ['mke2fs', '-q', '-F', '-t', 'ext4']);
    await onLoop(crashed, RANGE, (device) => run('debugfs', '-w', '-R', 'feature -needs_recovery', device));
    const [partition] = (await mapOf(crashed, DISK_BYTES)).parts.filter(({ what }) => what === 'partition 1');
    expect(partition).toMatchObject({ treatment: 'read in full', state: 'dirty', reason: 'its journal is not empty: it was not unmounted' });
  }));
