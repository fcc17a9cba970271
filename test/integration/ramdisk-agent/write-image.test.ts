import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { writeImageResultSchema, type WriteImageProgress } from '../../../protocol/deploy-commands.ts';
import { decodeDiskStream, diskStreamLength } from '../../../protocol/disk-stream.ts';
import { runProgram } from '../../../protocol/program.ts';
import { settleHoles, writeImage } from '../../../ramdisk-agent/deploy/image-writing.ts';
import { WrittenDisk } from '../../../ramdisk-agent/deploy/written-disk.ts';
import { describeWhere } from '../../machine-needs.ts';
import { until } from '../../rig/until.ts';
import { DeployStage, digestRange, readRange, writeAt } from './deploy-stage.ts';
import { findExtents, streamOf } from './image-server.ts';
import { buildServerImage, IMAGE_BYTES, ROOT_START_BYTES } from './server-image.ts';

const MIB = 1024 ** 2;
const HEAD_BYTES = MIB;
const GPT_SECTORS = 33;
const LARGER_BYTES = IMAGE_BYTES + 24 * MIB + 512;

jest.setTimeout(120_000);

let directory: string;
let image: string;
let dosImage: string;
let stage: DeployStage;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-images-'));
  image = await buildServerImage(directory, 'gpt.img');
  dosImage = await buildServerImage(directory, 'dos.img', { label: 'dos' });
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  stage = await DeployStage.start();
  stage.images.serve(image);
});
afterEach(() => stage.close());

const isZeros = (bytes: Buffer): boolean => bytes.equals(Buffer.alloc(bytes.length));
const headIsWiped = async (path: string): Promise<boolean> => isZeros(await readRange(path, 0, HEAD_BYTES));
const tailIsWiped = async (): Promise<boolean> => isZeros(await readRange(disk().device, disk().sizeBytes - MIB, disk().sizeBytes));
const disk = (): (typeof stage.disks)[number] => stage.disks[0]!;
const streamBytes = async (path: string): Promise<number> => diskStreamLength(await findExtents(path));
const failedTouched = (touched: boolean): object => ({ command_status: 'FAILED', command_error: { details: JSON.stringify({ disk_touched: touched }) } });

describeWhere(['root', 'loop'], 'a disk of the same size', () => {
  test('becomes the image byte for byte, whatever was on it; holes read as zeros', async () => {
    await stage.addDisk(IMAGE_BYTES);
    const report = await stage.write(IMAGE_BYTES);
    const extents = await findExtents(image);
    const result = writeImageResultSchema.parse(report.command_result);
    expect(result).toMatchObject({
      disk: { name: disk().device, serial: 'SERIAL-0', model: 'Test disk', size_bytes: IMAGE_BYTES, sector_size_bytes: 512 },
      virtual_size_bytes: IMAGE_BYTES,
      bytes_written: extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
      backup_gpt: 'in place',
      boot_entry: 'not needed',
      generalized: null,
      inventory: { disks: [{ name: disk().device, serial: 'SERIAL-0', size: IMAGE_BYTES, driver: 'virtio_blk' }], boot: { current_boot_mode: 'bios' }, interfaces: [{ mac_address: '52:54:00:12:34:56', driver: 'virtio_net' }] },
    });
    expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(await digestRange(image, 0, IMAGE_BYTES));
    expect(await digestRange(disk().imagePath, 0, IMAGE_BYTES)).toBe(await digestRange(image, 0, IMAGE_BYTES)); // on stable storage too
    expect(extents[0]!.offsetBytes).toBe(0);
    expect(extents.some(({ offsetBytes, lengthBytes }) => offsetBytes < HEAD_BYTES && offsetBytes + lengthBytes > HEAD_BYTES)).toBe(true); // one lies across the border
    expect(await stage.leftovers()).toEqual([]);
  });

  test('can be deployed again', async () => {
    await stage.addDisk(IMAGE_BYTES);
    for (const each of [dosImage, image]) {
      stage.images.serve(each);
      expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED' });
      expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(await digestRange(each, 0, IMAGE_BYTES));
    }
  });

  test('with larger sectors takes an image that has no table of its own for smaller ones', async () => {
    const plain = join(directory, 'plain.img');
    await runProgram('truncate', ['--size', String(8 * MIB), plain], { timeoutMs: 10_000 });
    await runProgram('mkfs.ext4', ['-q', '-F', plain], { timeoutMs: 30_000 });
    stage.images.serve(plain);
    await stage.addDisk(8 * MIB, { sectorSizeBytes: 4096 });
    expect(await stage.write(8 * MIB)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { backup_gpt: 'none', disk: { sector_size_bytes: 4096 } } });
    expect(await digestRange(disk().device, 0, 8 * MIB)).toBe(await digestRange(plain, 0, 8 * MIB));
  });
});

describeWhere(['root', 'loop'], 'a larger disk', () => {
  test('gets the backup GPT at its end, and a table that is valid; the content is unchanged', async () => {
    await stage.addDisk(LARGER_BYTES);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { backup_gpt: 'moved' } });
    expect((await runProgram('sfdisk', ['--verify', disk().device], { timeoutMs: 10_000 })).stdout).toContain('No errors detected');
    expect((await runProgram('sgdisk', ['--verify', disk().device], { timeoutMs: 10_000 })).stdout).toContain('No problems found');
    const [start, end] = [HEAD_BYTES, IMAGE_BYTES - GPT_SECTORS * 512];
    expect(await digestRange(disk().device, start, end)).toBe(await digestRange(image, start, end));
    const partitions = async (path: string): Promise<unknown> => (JSON.parse((await runProgram('sfdisk', ['--json', path], { timeoutMs: 10_000 })).stdout) as { partitiontable: { partitions: { start: number; size: number; uuid: string }[] } }).partitiontable.partitions.map(({ start, size, uuid }) => [start, size, uuid]);
    expect(await partitions(disk().device)).toEqual(await partitions(image));
    // the backup alone restores the table
    await runProgram('dd', ['if=/dev/zero', `of=${disk().device}`, 'bs=512', 'seek=1', 'count=33', 'status=none'], { timeoutMs: 10_000 });
    expect(await partitions(disk().device)).toEqual(await partitions(image));
  });

  test('with a DOS table is left as the image has it', async () => {
    stage.images.serve(dosImage);
    await stage.addDisk(LARGER_BYTES);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { backup_gpt: 'none' } });
    expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(await digestRange(dosImage, 0, IMAGE_BYTES));
    expect(isZeros(await readRange(disk().device, LARGER_BYTES - MIB, LARGER_BYTES))).toBe(true); // what an earlier owner had at the end
  });
});

describeWhere(['root', 'loop'], 'until the digest has proven the whole, nothing boots from the disk', () => {
  test('a wrong digest leaves the first MiB zeros, after all attempts', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push({ kind: 'flipped' }, { kind: 'flipped' });
    const report = await stage.write(IMAGE_BYTES, { attempts: 2 });
    expect(report).toMatchObject(failedTouched(true));
    expect(report.command_error?.message).toMatch(/2 attempts.*the digest of the disk stream is/);
    expect(await headIsWiped(disk().device)).toBe(true);
    expect(await headIsWiped(disk().imagePath)).toBe(true);
    expect(await tailIsWiped()).toBe(true); // no backup of a partition table that firmware would fall back on
    // what follows was there: it is the head alone that was withheld
    expect(await digestRange(disk().device, ROOT_START_BYTES, ROOT_START_BYTES + 8 * MIB)).toBe(await digestRange(image, ROOT_START_BYTES, ROOT_START_BYTES + 8 * MIB));
    expect(await stage.leftovers()).toEqual([]);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED' }); // and it can be deployed after that
  });

  test.each([
    ['cut', { kind: 'cut', afterBytes: 4 * MIB }],
    ['wrong', { kind: 'flipped' }],
    ['refused for the moment', { kind: 'status', status: 503 }],
  ] as const)('an attempt that was %s is begun anew, and the disk becomes the image', async (_what, answer) => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push(answer);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(stage.images.requests).toBe(2);
    expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(await digestRange(image, 0, IMAGE_BYTES));
  });

  test('it is told that the disk is touched before it is; old beginning and end are wiped first', async () => {
    const target = await stage.addDisk(LARGER_BYTES);
    const intact = await digestRange(target.device, 0, LARGER_BYTES);
    stage.images.answers.push({ kind: 'held', afterBytes: 3000 }); // within the first block: all of it is withheld
    const id = stage.beginWrite(IMAGE_BYTES, { stall_timeout_s: 3, attempts: 2 });
    await until('data of the head has come', () => (stage.report(id).command_result as WriteImageProgress | null)?.phase === 'writing');
    expect(stage.report(id).command_result).toMatchObject({ disk_touched: false });
    expect(await digestRange(target.device, 0, LARGER_BYTES)).toBe(intact);
    stage.images.answers.push({ kind: 'held', afterBytes: 4 * MIB });
    await until('the disk is touched', () => (stage.report(id).command_result as WriteImageProgress | null)?.disk_touched === true, 20_000);
    await until('its beginning is wiped', () => headIsWiped(target.device));
    await until('its end is wiped', async () => isZeros(await readRange(target.device, LARGER_BYTES - MIB, LARGER_BYTES)));
    await stage.stop(id);
  });

  test('a conductor that restarts does not end it: while nobody answers no attempt is spent', async () => {
    await stage.addDisk(IMAGE_BYTES);
    const refusals = Array.from({ length: 4 }, () => ({ kind: 'status' as const, status: 503 }));
    stage.images.answers.push({ kind: 'cut', afterBytes: 4 * MIB }, ...refusals);
    expect(await stage.write(IMAGE_BYTES, { attempts: 2 })).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(stage.images.requests).toBe(6);
  });

  test('a conductor that does not come back within the stall time ends it', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push({ kind: 'cut', afterBytes: 4 * MIB });
    stage.images.onRequest = async () => {
      if (stage.images.requests === 2) await stage.images.close();
    };
    const report = await stage.write(IMAGE_BYTES, { attempts: 2, stall_timeout_s: 3 });
    expect(report).toMatchObject(failedTouched(true));
    expect(report.command_error?.message).toMatch(/^nothing of the image was received for 3 s: the image cannot be fetched: .*ECONNREFUSED/);
  });

  test('what fails at the very end, when the machine is looked at once more, leaves nothing that boots', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.factsFailure = (call) => (call === 3 ? new Error('no inventory today') : null);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ ...failedTouched(true), command_error: { message: 'no inventory today' } });
    expect(await headIsWiped(disk().device)).toBe(true);
    expect(await tailIsWiped()).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
  });

  test('the last MiB of a disk of the same size is withheld like the first', async () => {
    await stage.addDisk(IMAGE_BYTES);
    const full = join(directory, 'full-end.img');
    await runProgram('cp', ['--sparse=always', image, full], { timeoutMs: 30_000 });
    await writeAt(full, Buffer.alloc(3.5 * MIB, 7), IMAGE_BYTES - 3.5 * MIB - GPT_SECTORS * 512);
    stage.images.serve(full);
    stage.images.answers.push({ kind: 'held', afterBytes: (await streamBytes(full)) - 8 });
    const id = stage.beginWrite(IMAGE_BYTES);
    await until('the data at the end have come', () => Number((stage.report(id).command_result as WriteImageProgress | null)?.bytes_done) >= IMAGE_BYTES - GPT_SECTORS * 512);
    expect(isZeros(await readRange(disk().device, IMAGE_BYTES - 2 * MIB, IMAGE_BYTES - MIB))).toBe(false);
    expect(await tailIsWiped()).toBe(true);
    await stage.stop(id);
    expect(await tailIsWiped()).toBe(true);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(await digestRange(full, 0, IMAGE_BYTES));
  });

  test('stopped while it writes, it lets go of the disk, whose beginning stays wiped', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push({ kind: 'held', afterBytes: 4 * MIB });
    const id = stage.beginWrite(IMAGE_BYTES);
    await until('the disk is touched', () => (stage.report(id).command_result as WriteImageProgress | null)?.disk_touched === true);
    await stage.stop(id);
    expect(stage.report(id)).toMatchObject({ ...failedTouched(true), command_error: { message: 'the command was stopped on request', details: '{"disk_touched":true}' } });
    expect(await headIsWiped(disk().device)).toBe(true);
    expect(await stage.leftovers()).toEqual([]);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED' }); // nobody holds the disk
  });

  test('the deadline of the whole command ends it', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push({ kind: 'held', afterBytes: 4 * MIB });
    const report = await stage.write(IMAGE_BYTES, { deadline_s: 3 });
    expect(report).toMatchObject({ command_status: 'FAILED', command_error: { message: 'the deployment did not end within its deadline of 3 s' } });
    expect(await headIsWiped(disk().device)).toBe(true);
  });

  test('an agent that died while writing wipes the beginning when it comes back', async () => {
    await stage.addDisk(IMAGE_BYTES);
    const [device] = await stage.devices.list();
    stage.workspace.recordDisk(device!); // what is left of a killed agent
    expect(await stage.workspace.recover(stage.devices)).toEqual({ found: [`${device!.name}, half-written: its beginning and end are wiped`], problems: [] });
    expect(await headIsWiped(device!.name)).toBe(true);
    expect(await tailIsWiped()).toBe(true);
    expect(isZeros(await readRange(device!.name, HEAD_BYTES, HEAD_BYTES + 4096))).toBe(false);
    expect(await stage.workspace.recover(stage.devices)).toEqual({ found: [], problems: [] });
  });
});

describeWhere(['root', 'loop'], 'large holes', () => {
  const SPARSE_BYTES = 400 * MIB;

  async function buildSparse(): Promise<string> {
    const path = join(directory, 'sparse.img');
    await runProgram('cp', ['--sparse=always', image, path], { timeoutMs: 30_000 });
    await runProgram('truncate', ['--size', String(SPARSE_BYTES), path], { timeoutMs: 10_000 });
    await writeAt(path, Buffer.alloc(2 * MIB, 7), 300 * MIB);
    return path;
  }

  test('are made zeros only after the whole image has come, and move the progress', async () => {
    const sparse = await buildSparse();
    stage.images.serve(sparse);
    await stage.addDisk(SPARSE_BYTES);
    const inHole = 200 * MIB;
    stage.images.answers.push({ kind: 'held', afterBytes: (await streamBytes(sparse)) - 8 });
    const id = stage.beginWrite(SPARSE_BYTES);
    await until('all but the digest has come', () => stage.images.holding);
    await until('the data behind the hole are on the disk', async () => (await readRange(disk().device, 300 * MIB, 300 * MIB + 4096)).equals(Buffer.alloc(4096, 7)));
    expect(isZeros(await readRange(disk().device, inHole, inHole + 4096))).toBe(false); // the network did not wait for it
    const progress = stage.report(id).command_result as unknown as WriteImageProgress;
    expect(progress).toMatchObject({ phase: 'writing', bytes_total: SPARSE_BYTES });
    expect(progress.bytes_done).toBeLessThan(100 * MIB);
    await stage.stop(id);

    const [device] = await stage.devices.list();
    const { signal } = new AbortController();
    const done: number[] = [];
    const options = { virtualSizeBytes: SPARSE_BYTES, bootMode: 'bios' as const, onTouch: () => undefined, onProgress: (bytes: number) => void done.push(bytes) };
    await WrittenDisk.using(device!, signal, async (written) => {
      const received = await writeImage(decodeDiskStream(streamOf(sparse, await findExtents(sparse))), written, options);
      expect(done.at(-1)).toBe(SPARSE_BYTES - received.holes.reduce((sum, { start, end }) => sum + end - start, 0));
      const before = done.length;
      await settleHoles(received, written, options);
      expect(done.length).toBeGreaterThan(before + received.holes.length);
      await written.commit(received);
    });
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(SPARSE_BYTES);
    expect(await digestRange(disk().device, 0, SPARSE_BYTES)).toBe(await digestRange(sparse, 0, SPARSE_BYTES));
  });
});

describeWhere(['root', 'loop'], 'an image whose table cannot be moved to the end of the disk', () => {
  test('fails the deployment, and the committed beginning is wiped again', async () => {
    const broken = join(directory, 'broken.img');
    await runProgram('cp', ['--sparse=always', image, broken], { timeoutMs: 30_000 });
    await writeAt(broken, Buffer.alloc(16, 0xff), 2 * 512 + 8); // within the partition entries: their checksum is wrong
    await writeAt(broken, Buffer.alloc(16, 0xff), IMAGE_BYTES - GPT_SECTORS * 512 + 8);
    stage.images.serve(broken);
    await stage.addDisk(LARGER_BYTES);
    const report = await stage.write(IMAGE_BYTES);
    expect(report).toMatchObject(failedTouched(true));
    expect(report.command_error?.message).toMatch(/sfdisk/);
    expect(await headIsWiped(disk().device)).toBe(true);
    expect(await readRange(disk().device, ROOT_START_BYTES, ROOT_START_BYTES + MIB)).toEqual(await readRange(image, ROOT_START_BYTES, ROOT_START_BYTES + MIB));
  });
});
