import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WrittenDisk } from '../../../ramdisk-agent/deploy/written-disk.ts';
import type { BlockDevice } from '../../../ramdisk-agent/devices/block-device.ts';

/** A regular file in place of a disk: blkdiscard refuses it, as it does a device that cannot make zeros. Loop devices: in the integration tests. */
const MIB = 1024 ** 2;
const SIZE_BYTES = 34 * MIB + 512;

let directory: string;
let device: BlockDevice;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-written-'));
  const name = join(directory, 'disk.img');
  await writeFile(name, Buffer.alloc(SIZE_BYTES, 7));
  device = { name, sizeBytes: SIZE_BYTES, sectorSizeBytes: 512, rotational: true, model: null, vendor: null, serial: null, wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const using = (use: (disk: WrittenDisk) => Promise<void>, signal = new AbortController().signal): Promise<void> => WrittenDisk.using(device, signal, use);
/** Ranges of zeros, as pairs of start and end. */
async function zeroRanges(): Promise<number[][]> {
  const ranges: number[][] = [];
  (await readFile(device.name)).forEach((byte, at) => {
    if (byte !== 0) return;
    const last = ranges.at(-1);
    if (last?.[1] === at) last[1] = at + 1;
    else ranges.push([at, at + 1]);
  });
  return ranges;
}

describe('a disk that cannot make zeros by itself', () => {
  test.each([
    ['large', 512, 33 * MIB + 512],
    ['small', 1024, 70_656],
    ['up to the end', MIB, SIZE_BYTES],
    ['of a middle size', 2 * MIB, 4 * MIB + 512],
    ['within a page', 512, 1024],
  ])('gets them written: exactly the range (%s)', async (_what, start, end) => {
    await using((disk) => disk.zero(start, end));
    expect(await zeroRanges()).toEqual([[start, end]]);
  });

  test('is wiped at its beginning and its end, nowhere else', async () => {
    await using((disk) => disk.wipeEnds());
    expect(await zeroRanges()).toEqual([[0, MIB], [SIZE_BYTES - MIB, SIZE_BYTES]]);
  });

  test('smaller than both together is wiped as a whole', async () => {
    device = { ...device, sizeBytes: MIB + 512 };
    await using((disk) => disk.wipeEnds());
    expect(await zeroRanges()).toEqual([[0, MIB + 512]]);
  });
});

describe('writing', () => {
  test('the ends puts every byte at its place', async () => {
    const head = Buffer.from(Array.from({ length: 8192 }, (_, at) => (at % 251) + 1));
    const tail = Buffer.alloc(1024, 9);
    await using((disk) => disk.commit({ head, tail }));
    const found = await readFile(device.name);
    expect(found.subarray(0, 8192).equals(head)).toBe(true);
    expect(found[8192]).toBe(7);
    expect(found.at(-1025)).toBe(7);
    expect(found.subarray(-1024).equals(tail)).toBe(true);
  });

  test('ends when it is stopped', async () => {
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await expect(using((disk) => disk.zero(0, 4 * MIB), stop.signal)).rejects.toThrow('stopped');
    expect(await zeroRanges()).toEqual([]);
  });

  test('a disk that takes no more is a permanent failure', async () => {
    device = { ...device, name: '/dev/full' };
    await expect(using((disk) => disk.write(Buffer.alloc(512), 0))).rejects.toMatchObject({ name: 'PermanentFailure', message: expect.stringMatching(/^\/dev\/full could not be written at 0: .*ENOSPC/) });
  });

  test('a disk that is not there is named', async () => {
    device = { ...device, name: join(directory, 'nothing') };
    await expect(using(() => Promise.resolve())).rejects.toThrow(/nothing .* cannot be opened for writing: .*ENOENT/);
  });
});
