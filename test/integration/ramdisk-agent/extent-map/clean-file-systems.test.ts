import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { describePart } from '../../../../ramdisk-agent/extent-map/part-decision.ts';
import { copyMapped, digestOf, digestsOf, fillAndDelete, GARBAGE_BYTES, LARGE_FILE_BYTES, loopsOver, makeDisk, mapOf, MIB, mounted, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(240_000);

const START_BYTES = 2 * MIB;
const TAIL_BYTES = 3 * MIB;

interface Kind {
  name: string;
  make: string[];
  sizeBytes: number;
  check: string[];
  /** Counts as used, whatever is in it. */
  logBytes: number;
}
const ext = (name: string, ...options: string[]): Kind => ({ name, make: ['mke2fs', '-q', '-F', ...options], sizeBytes: 96 * MIB, check: ['e2fsck', '-fn'], logBytes: 0 });
/** mkfs.xfs makes nothing below 300 MB. */
const xfs = (name: string, ...options: string[]): Kind => ({ name, make: ['mkfs.xfs', '-q', ...options], sizeBytes: 320 * MIB, check: ['xfs_repair', '-n'], logBytes: 64 * MIB });

const KINDS: Kind[] = [
  ext('ext4', '-t', 'ext4', '-b', '4096'),
  ext('ext4 in 1 KiB blocks with old checksums', '-t', 'ext4', '-b', '1024', '-O', '^metadata_csum,uninit_bg', '-g', '2048'),
  ext('ext4 with all that is new', '-t', 'ext4', '-O', 'inline_data,metadata_csum_seed,fast_commit,large_dir,ea_inode'),
  ext('ext4 with meta groups', '-t', 'ext4', '-b', '1024', '-O', 'meta_bg,^resize_inode,^flex_bg'),
  ext('ext3', '-t', 'ext3'),
  ext('ext2', '-t', 'ext2'),
  xfs('xfs'),
  xfs('xfs with 4 KiB sectors and reverse mappings', '-s', 'size=4096', '-m', 'rmapbt=1'),
];

describe('the mapped ranges of a clean file system restore all of it, and nothing that was deleted', () => {
  test.each(KINDS)('$name', ({ make, sizeBytes, check, logBytes }) =>
    withDirectory(async (directory) => {
      const path = join(directory, 'disk.img');
      const range = { offsetBytes: START_BYTES, sizeBytes };
      const diskBytes = START_BYTES + sizeBytes + TAIL_BYTES + 512;
      await makeDisk(path, diskBytes, `label: gpt\nstart=${START_BYTES / 512}, size=${sizeBytes / 512}\n`);
      await onLoop(path, range, (device) => run(make[0]!, ...make.slice(1), device));
      await mounted(path, range, fillAndDelete);
      const live = await mounted(path, range, digestsOf, { readOnly: true });
      expect(Object.keys(live)).toHaveLength(25);

      const before = await digestOf(path);
      const map = await mapOf(path, diskBytes);
      expect(await digestOf(path)).toBe(before);
      expect(await loopsOver(path)).toBe('');
      const partition = map.parts.find(({ what }) => what === 'partition 1')!;
      expect(partition).toMatchObject({ ...range, state: 'clean', treatment: 'mapped', reason: null });
      expect(describePart(partition)).toMatch(/^partition 1: (ext[234]|xfs), clean, [\d.]+ of (96|320) MiB used, mapped$/);

      const written = Number((await run('du', '--block-size=1', path)).stdout.split('\t')[0]);
      expect(written).toBeGreaterThan(GARBAGE_BYTES + LARGE_FILE_BYTES);
      expect(partition.usedBytes).toBeLessThan(logBytes + GARBAGE_BYTES);
      const copy = join(directory, 'copy.img');
      await copyMapped(path, copy, diskBytes, map.extents);
      await onLoop(copy, range, (device) => run(check[0]!, ...check.slice(1), device));
      expect(await mounted(copy, range, digestsOf, { readOnly: true })).toEqual(live);
      expect((await run('sfdisk', '--verify', copy)).stdout).toContain('No errors detected');
    }),
  );
});
