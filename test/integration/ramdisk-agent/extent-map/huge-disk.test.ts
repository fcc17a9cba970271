import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { makeDisk, mapOf, MIB, onLoop, run, withDirectory } from './test-disk.ts';

jest.setTimeout(120_000);

const GIB = 1024 * MIB;
const DISK_BYTES = 1024 * GIB;
const [EXT, XFS] = [{ offsetBytes: GIB, sizeBytes: 500 * GIB }, { offsetBytes: 501 * GIB, sizeBytes: 500 * GIB }];

test('of a disk of 1 TiB with little on it, little is in its image, by a short map', () =>
  withDirectory(async (directory) => {
    const line = ({ offsetBytes, sizeBytes }: typeof EXT): string => `start=${offsetBytes / 512}, size=${sizeBytes / 512}\n`;
    const path = await makeDisk(join(directory, 'disk.img'), DISK_BYTES, `label: gpt\n${line(EXT)}${line(XFS)}`);
    const content = join(directory, 'content');
    await mkdir(content);
    await writeFile(join(content, 'file'), Buffer.alloc(MIB, 'something'));
    await run('mke2fs', '-q', '-F', '-t', 'ext4', '-T', 'largefile4', '-N', '20000', '-J', 'size=4', '-d', content, '-E', `lazy_itable_init=1,offset=${EXT.offsetBytes}`, path, `${EXT.sizeBytes / 1024}k`);
    await onLoop(path, XFS, (device) => run('mkfs.xfs', '-q', '-K', '-l', 'size=64m', device));
    const map = await mapOf(path, DISK_BYTES);
    expect(map.parts.filter(({ what }) => what.startsWith('partition'))).toMatchObject([
      { content: 'ext4', treatment: 'mapped', ...EXT },
      { content: 'xfs', treatment: 'mapped', ...XFS },
    ]);
    expect(map.parts.filter(({ treatment }) => treatment === 'mapped').reduce((sum, { usedBytes }) => sum + usedBytes, 0)).toBeLessThan(2 * GIB);
    expect(map.extents.length).toBeLessThan(10_000);
  }));
