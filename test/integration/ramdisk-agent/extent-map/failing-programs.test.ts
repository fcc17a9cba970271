import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { SYSTEM_PATH } from '../../../../protocol/program.ts';
import { withLoopDevice } from '../../../../ramdisk-agent/extent-map/loop-range.ts';
import { until } from '../../../rig/until.ts';
import { loopsOver, makeDisk, mapOf, MIB, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(120_000);

const RANGE = { offsetBytes: MIB, sizeBytes: 64 * MIB };
const DISK_BYTES = 66 * MIB;
const LINES = '# a comment\\n0x04000000 ?\\n';

/** A disk with a clean ext4, and a directory for programs that take the place of the real ones. */
const onDisk = (use: (path: string, programs: string, directory: string) => Promise<void>): Promise<void> =>
  withDirectory(async (directory) => {
    const path = await makeDisk(join(directory, 'disk.img'), DISK_BYTES, `label: gpt\nstart=2048, size=${RANGE.sizeBytes / 512}\n`);
    await onLoop(path, RANGE, (device) => run('mke2fs', '-q', '-F', '-t', 'ext4', device));
    const programs = join(directory, 'programs');
    await mkdir(programs);
    await use(path, programs, directory);
  });

async function install(programs: string, name: string, script: string): Promise<void> {
  await writeFile(join(programs, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(programs, name), 0o755);
}

const withPrograms = (programs: string): { env: NodeJS.ProcessEnv } => ({ env: { PATH: `${programs}:${SYSTEM_PATH}`, LC_ALL: 'C' } });

describe('a program that fails makes its part read in full, and nothing fails', () => {
  test.each([
    ['partclone.extfs', 'exit 1', /failed with exit code 1/],
    ['partclone.extfs', 'kill -SEGV $$', /killed by SIGSEGV/],
    ['partclone.extfs', 'true', /covers 0 of 67108864 bytes/],
    ['partclone.extfs', `printf '${LINES}0x0 0x2000000 +\\n'`, /covers 33554432 of 67108864 bytes/],
    ['partclone.extfs', `printf '${LINES}0x0 0x4000000 ?\\n'`, /finds 0 used blocks where its superblock says \d+/],
    ['partclone.extfs', `printf '${LINES}0x0 0x4000000 +\\n'`, /finds \d+ used blocks where its superblock says \d+/],
    ['partclone.extfs', `printf '${LINES}0x0 0x2000000 +\\n0x2000000 0x2000000 -\\n'`, /after 33554432 bytes it has the line/],
    ['partclone.extfs', 'head -c 20000000 /dev/zero', /after 0 bytes it has the line/],
    ['dumpe2fs', 'exit 1', /dumpe2fs failed/],
    ['dumpe2fs', 'echo "dumpe2fs: something odd" >&2', /dumpe2fs says: dumpe2fs: something odd/],
    ['dumpe2fs', 'head -c 20000000 /dev/zero', /no superblock that is understood/],
  ])('%s: %s', (name, script, reason) =>
    onDisk(async (path, programs) => {
      await install(programs, name, script);
      const map = await mapOf(path, DISK_BYTES, withPrograms(programs));
      expect(map.extents).toEqual([{ offsetBytes: 0, sizeBytes: DISK_BYTES }]);
      expect(map.parts[1]).toMatchObject({ what: 'partition 1', content: 'ext4', treatment: 'read in full', reason: expect.stringMatching(reason) as unknown as string });
      expect(await loopsOver(path)).toBe('');
    }),
  );

  test('one that is not installed', () =>
    onDisk(async (path, programs) => {
      await symlink('/usr/sbin/dumpe2fs', join(programs, 'dumpe2fs'));
      const map = await mapOf(path, DISK_BYTES, { env: { PATH: programs, LC_ALL: 'C' } });
      expect(map.parts[1]).toMatchObject({ treatment: 'read in full', reason: 'cannot run partclone.extfs: partclone.extfs is not installed or not on the PATH' });
    }));

  test('one that does not end', () =>
    onDisk(async (path, programs) => {
      await install(programs, 'partclone.extfs', 'exec sleep 600');
      const map = await mapOf(path, DISK_BYTES, { ...withPrograms(programs), timeoutMs: 1_000 });
      expect(map.parts[1]).toMatchObject({ treatment: 'read in full', reason: expect.stringContaining('did not end within 1 s') as unknown as string });
      expect(await loopsOver(path)).toBe('');
    }));

  test('one whose map would not fit into memory is not run', () =>
    onDisk(async (path) => {
      const map = await mapOf(path, DISK_BYTES, { memoryBytes: 10 * 1024 });
      expect(map.parts[1]).toMatchObject({ treatment: 'read in full', reason: 'its map needs 0.016 MiB of memory, 0.0098 MiB may be used' });
    }));
});

test('it can be stopped, and then fails with the reason; nothing stays behind', () =>
  onDisk(async (path, programs, directory) => {
    await install(programs, 'partclone.extfs', `touch ${directory}/started; exec sleep 600`);
    const stop = new AbortController();
    const mapping = mapOf(path, DISK_BYTES, { ...withPrograms(programs), signal: stop.signal });
    mapping.catch(() => undefined); // handled below, when it has to be
    await until('the program runs', async () => (await run('find', directory, '-name', 'started')).stdout !== '');
    expect(await loopsOver(path)).not.toBe('');
    stop.abort(new Error('not needed any more'));
    await expect(mapping).rejects.toThrow('not needed any more');
    expect(await loopsOver(path)).toBe('');
  }));

test('a disk that cannot be opened fails it', async () => {
  await expect(mapOf('/nonexistent/disk', DISK_BYTES)).rejects.toThrow('ENOENT');
});

test('a loop device cannot be written to, and the kernel takes it away when its user dies', () =>
  onDisk((path) =>
    withLoopDevice(path, RANGE, async (device) => {
      const { stdout } = await run('losetup', '--list', '--noheadings', '--raw', '--output', 'AUTOCLEAR,RO,OFFSET,SIZELIMIT', device);
      expect(stdout.trim()).toBe(`1 1 ${RANGE.offsetBytes} ${RANGE.sizeBytes}`);
      await expect(run('dd', 'if=/dev/zero', `of=${device}`, 'bs=4096', 'count=1', 'conv=fsync')).rejects.toThrow('Operation not permitted');
    }),
  ));
