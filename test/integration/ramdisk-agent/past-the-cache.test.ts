import { constants } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { allocatePages, DirectFile } from '../../../protocol/direct-io.ts';
import { DiskSource } from '../../../ramdisk-agent/qcow2/disk-source.ts';
import { LoopDevice } from '../../../simulator/loop-device.ts';
import { describeWhere } from '../../machine-needs.ts';

const MIB = 1024 ** 2;
const CONTENT = randomBytes(8 * MIB);
/** In the middle: begin and end of a new disk are looked at by whoever looks for file systems, and stay in the cache then. */
const PLACE = 4 * MIB;

describeWhere(['root', 'loop'], 'past the page cache', () => {
  let directory: string;
  let device: LoopDevice | undefined;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-cache-'));
    await writeFile(join(directory, 'disk.img'), CONTENT);
    device = await LoopDevice.attach(join(directory, 'disk.img'));
  });
  afterEach(async () => {
    try {
      await device?.release();
    } finally {
      device = undefined;
      await rm(directory, { recursive: true, force: true });
    }
  });

  /** Bytes that this process has had from disks, rather than from a cache (proc(5), `read_bytes`). */
  async function fromDisks(work: () => Promise<void>): Promise<number> {
    const read = async (): Promise<number> => Number(/^read_bytes: (\d+)$/m.exec(await readFile('/proc/self/io', 'utf8'))?.[1]);
    const before = await read();
    await work();
    return (await read()) - before;
  }

  test('a disk that is captured leaves nothing in the page cache: it is read again when it is read again', async () => {
    const disk = await DiskSource.open(device!.path, { onReadError: 'fail' });
    const part = disk.memory.subarray(0, CONTENT.length);
    const readAll = (): Promise<void> => disk.readInto(part, 0, new AbortController().signal);
    try {
      for (const _time of ['first', 'second']) {
        expect(await fromDisks(readAll)).toBeGreaterThanOrEqual(CONTENT.length);
        expect(part.equals(CONTENT)).toBe(true);
      }
    } finally {
      await disk.close();
    }
  });

  test('what is written past the page cache has to be fetched from the disk', async () => {
    const written = await DirectFile.open(device!.path, constants.O_WRONLY);
    const page = allocatePages(MIB).fill('x');
    try {
      expect(await written.write(page, PLACE)).toBe(MIB);
      expect(written.isDirect).toBe(true);
    } finally {
      await written.close();
    }
    const reader = await open(device!.path, 'r');
    const back = Buffer.alloc(MIB);
    try {
      expect(await fromDisks(async () => void (await reader.read(back, 0, MIB, PLACE)))).toBeGreaterThanOrEqual(MIB);
      expect(back.equals(page)).toBe(true);
    } finally {
      await reader.close();
    }
  });
});
