import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import { eraseMetadataResultSchema } from '../../../protocol/deploy-commands.ts';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { DeployStage, digestRange, readRange, writeAt } from './deploy-stage.ts';
import { buildServerImage, IMAGE_BYTES, ROOT_START_BYTES } from './server-image.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const RECORDED = { recorded_disk: { serial: 'SERIAL-0', wwn: null, size_bytes: null } };
const sparse = (): Promise<void> => Promise.resolve();

jest.setTimeout(120_000);

let directory: string;
let stage: DeployStage;
let image: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-erase-'));
  image = await buildServerImage(directory, 'old.img', { efiFiles: ['EFI/BOOT/BOOTX64.EFI'] });
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  stage = await DeployStage.start();
});
afterEach(() => stage.close());

const erase = (params: Record<string, unknown> = {}): Promise<CommandReport> => stage.ended(stage.begin('deploy.erase_devices_metadata', { deadline_s: 60, ...params }));
const copyImage = async (path: string): Promise<void> => void (await runProgram('cp', ['--sparse=always', image, path], { timeoutMs: 30_000 }));

describeWhere(['root', 'loop'], 'a disk whose metadata are erased', () => {
  test('holds nothing that is recognized, neither on itself nor where its partitions were; what was there is told', async () => {
    const { device } = await stage.addDisk(IMAGE_BYTES, { prepare: copyImage });
    const report = await erase(RECORDED);
    expect(report.command_error).toBeNull();
    const result = eraseMetadataResultSchema.parse(report.command_result);
    expect(result).toMatchObject({ disk: { name: device, serial: 'SERIAL-0' }, wiped: [expect.stringMatching(/^partition 1: (vfat|dos)/), 'partition 2: ext4', 'the whole disk: gpt'] });
    for (const offset of [0, 2 * MIB, ROOT_START_BYTES]) {
      expect(await runProgram('blkid', ['--probe', '--offset', String(offset), device], { timeoutMs: 10_000, acceptedExitCodes: [2] })).toMatchObject({ stdout: '' });
      expect((await readRange(device, offset, offset + MIB)).equals(Buffer.alloc(MIB))).toBe(true);
    }
    expect((await readRange(device, IMAGE_BYTES - MIB, IMAGE_BYTES)).equals(Buffer.alloc(MIB))).toBe(true);
    expect((await runProgram('wipefs', [device], { timeoutMs: 10_000 })).stdout).toBe('');
  });

  test('can be erased again, when there is nothing any more', async () => {
    await stage.addDisk(IMAGE_BYTES, { prepare: sparse });
    expect(await erase(RECORDED)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { wiped: ['the whole disk: nothing known'] } });
  });
});

describeWhere(['root', 'loop'], 'the disk to erase', () => {
  test('is the only one that a root disk can be, where nothing is recorded or hinted', async () => {
    await stage.addDisk(IMAGE_BYTES, { prepare: copyImage });
    const large = await stage.addDisk(4 * GIB, { prepare: copyAndGrow });
    expect(await erase()).toMatchObject({ command_status: 'SUCCEEDED', command_result: { disk: { name: large.device } } });
    expect((await runProgram('sfdisk', ['--json', stage.disks[0]!.device], { timeoutMs: 10_000 })).stdout).toContain('"label": "gpt"');
  });

  test.each([
    ['several could be meant', [4 * GIB, 4 * GIB + MIB], {}, /there has to be exactly one disk of at least 4 GiB; found .*SERIAL-0.*, .*SERIAL-1/],
    ['none is large enough to be meant', [IMAGE_BYTES], {}, /exactly one disk of at least 4 GiB; found .*SERIAL-0/],
    ['the recorded one is not there', [4 * GIB], { recorded_disk: { serial: 'OTHER', wwn: null, size_bytes: null } }, /expected exactly one disk .*serial OTHER/],
  ])('is refused where %s', async (_what, sizes, params, reason) => {
    for (const size of sizes) await stage.addDisk(size, { prepare: copyAndGrow });
    const before = await Promise.all(stage.disks.map(({ device }) => digestRange(device, 0, IMAGE_BYTES)));
    const report = await erase(params);
    expect(report.command_error?.message).toMatch(reason);
    expect(JSON.parse(report.command_error?.details ?? '')).toEqual({ disk_touched: false });
    expect(await Promise.all(stage.disks.map(({ device }) => digestRange(device, 0, IMAGE_BYTES)))).toEqual(before);
  });

  test.each([
    ['recorded', RECORDED],
    ['hinted by its serial', { root_device: { serial: 'serial-0' } }],
  ])('is erased when it belongs to something on other disks and is %s; that is told', async (_what, params) => {
    const { device, volume } = await addVolumeMember(IMAGE_BYTES);
    const report = await erase(params);
    expect(report).toMatchObject({ command_status: 'SUCCEEDED', command_result: { wiped: ['the whole disk: LVM2_member', expect.stringMatching(/^the whole disk belongs to the LVM volume group "pair"/)] } });
    expect((await readRange(device, 0, volume.length)).equals(Buffer.alloc(volume.length))).toBe(true);
  });

  test.each([
    ['the only one', {}],
    ['hinted by its size', { root_device: { size: '>= 1' } }],
  ])('is refused when it belongs to something on other disks and is just %s', async (_what, params) => {
    const { device, volume } = await addVolumeMember(4 * GIB);
    expect((await erase(params)).command_error?.message).toMatch(/the whole disk belongs to the LVM volume group "pair"/);
    expect((await readRange(device, 0, volume.length)).equals(volume)).toBe(true);
  });

  test('is none on a machine without disks: nothing is done', async () => {
    expect(await erase()).toMatchObject({ command_status: 'SUCCEEDED', command_result: { disk: null, wiped: [] } });
  });
});

/** The old image at the beginning of a larger disk. */
async function copyAndGrow(path: string): Promise<void> {
  await runProgram('dd', [`if=${image}`, `of=${path}`, 'bs=1M', 'conv=notrunc,sparse', 'status=none'], { timeoutMs: 30_000 });
}

/** A disk that is one of two physical volumes. */
async function addVolumeMember(sizeBytes: number): Promise<{ device: string; volume: Buffer }> {
  const volume = gunzipSync(await readFile(new URL('../../unit/ramdisk-agent/fixtures/lvm-pair-first-pv.gz', import.meta.url)));
  const { device } = await stage.addDisk(sizeBytes, { prepare: (path) => writeAt(path, volume, 0) });
  return { device, volume };
}
