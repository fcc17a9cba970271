import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { DeployStage, digestRange, writeAt } from './deploy-stage.ts';
import { ImageServer } from './image-server.ts';
import { buildServerImage, IMAGE_BYTES } from './server-image.ts';

const MIB = 1024 ** 2;

jest.setTimeout(120_000);

let directory: string;
let stage: DeployStage;
let image: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-images-'));
  image = await buildServerImage(directory, 'gpt.img');
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  stage = await DeployStage.start();
  stage.images.serve(image);
});
afterEach(() => stage.close());

const disk = (): (typeof stage.disks)[number] => stage.disks[0]!;
const UNTOUCHED = { command_status: 'FAILED', command_error: { details: '{"disk_touched":false}' } };

/** Runs a write that has to be refused, and proves that no byte of any disk has changed and nothing was fetched. */
async function expectRefusal(reason: RegExp, params: Record<string, unknown> = {}, virtualSizeBytes = IMAGE_BYTES): Promise<CommandReport> {
  const digests = (): Promise<string[]> => Promise.all(stage.disks.map(({ device, sizeBytes }) => digestRange(device, 0, sizeBytes)));
  const before = await digests();
  const report = await stage.write(virtualSizeBytes, params);
  expect(report.command_error?.message).toMatch(reason);
  expect(report).toMatchObject(UNTOUCHED);
  expect(await digests()).toEqual(before);
  expect(await stage.leftovers()).toEqual([]);
  return report;
}

describeWhere(['root', 'loop'], 'nothing is written', () => {
  test('to a disk that is too small; nothing is fetched', async () => {
    await stage.addDisk(IMAGE_BYTES - 512);
    await expectRefusal(/the image is of a disk of 67108864 bytes, \/dev\/loop\d+ .* has 67108352: 512 too few\. Deploy it to a larger disk/);
    expect(stage.images.requests).toBe(0);
  });

  test('to any disk when hints match several', async () => {
    await stage.addDisk(IMAGE_BYTES);
    await stage.addDisk(IMAGE_BYTES);
    await expectRefusal(/exactly one disk that matches the root device hints .*, found 2: .*SERIAL-0.*, .*SERIAL-1/, { root_device: { model: 'test disk' } });
    expect(stage.images.requests).toBe(0);
  });

  test('to any disk when the recorded serial is not there, even if a hint matches one', async () => {
    await stage.addDisk(IMAGE_BYTES);
    await expectRefusal(/expected exactly one disk with what the node has recorded \(serial OTHER\), found none, but \/dev\/loop\d+ .*SERIAL-0/, { recorded_disk: { serial: 'OTHER', wwn: null, size_bytes: null }, root_device: { name: stage.disks[0]!.device } });
  });

  test('when the recorded disk is not the one that the hint describes', async () => {
    await stage.addDisk(IMAGE_BYTES);
    await stage.addDisk(IMAGE_BYTES);
    await expectRefusal(/does not match the root device hints \{"name":"\/dev\/loop\d+"\}/, { recorded_disk: { serial: 'SERIAL-0', wwn: null, size_bytes: null }, root_device: { name: stage.disks[1]!.device } });
  });

  test('to a member of a volume group that has another one elsewhere', async () => {
    const volume = gunzipSync(await readFile(new URL('../../unit/ramdisk-agent/fixtures/lvm-pair-first-pv.gz', import.meta.url)));
    await stage.addDisk(IMAGE_BYTES, {
      prepare: async (path) => {
        await runProgram('sfdisk', ['--quiet', path], { input: 'label: gpt\nstart=2048, size=2048\nstart=4096\n', timeoutMs: 10_000 });
        await writeAt(path, volume, 2 * MIB);
      },
    });
    await expectRefusal(/is not overwritten: partition 2 belongs to the LVM volume group "pair" that has 2 parts of which one is on this disk/);
    expect(stage.images.requests).toBe(0);
  });

  test('to a member of an md array of two', async () => {
    const superblock = Buffer.alloc(4096);
    superblock.writeUInt32LE(0xa92b4efc, 0);
    superblock.writeUInt32LE(1, 4);
    superblock.writeUInt32LE(2, 92);
    await stage.addDisk(IMAGE_BYTES, { prepare: (path) => writeAt(path, superblock, 4096) });
    await expectRefusal(/the whole disk belongs to the md array .* that has 2 parts/);
  });

  test('to a disk of which something is mounted', async () => {
    await stage.addDisk(IMAGE_BYTES, { prepare: async (path) => void (await runProgram('mkfs.ext4', ['-q', '-F', path], { timeoutMs: 30_000 })) });
    const mount = await mkdtemp(join(stage.directory, 'mounted-'));
    await runProgram('mount', ['-o', 'ro,noload', disk().device, mount], { timeoutMs: 10_000 });
    try {
      const before = await digestRange(disk().device, 0, IMAGE_BYTES);
      const report = await stage.write(IMAGE_BYTES);
      expect(report).toMatchObject(UNTOUCHED);
      expect(report.command_error?.message).toContain('cannot be opened for writing: it is in use');
      expect(await digestRange(disk().device, 0, IMAGE_BYTES)).toBe(before);
      expect(stage.images.requests).toBe(0);
    } finally {
      await runProgram('umount', [mount], { timeoutMs: 10_000 });
    }
  });

  test('when the image has a partition table for sectors of another size', async () => {
    await stage.addDisk(IMAGE_BYTES, { sectorSizeBytes: 4096 });
    await expectRefusal(/partition table for sectors of 512 bytes, the disk has sectors of 4096/);
    expect(stage.images.requests).toBe(1);
  });

  test('when the machine boots by UEFI and the image cannot', async () => {
    stage.bootMode = 'uefi';
    await stage.addDisk(IMAGE_BYTES);
    await expectRefusal(/this machine boots by UEFI, the image has no EFI system partition/);
  });

  test('when the image is of another size than announced', async () => {
    await stage.addDisk(2 * IMAGE_BYTES);
    await expectRefusal(/expected the image of a disk of 134217728 bytes, found one of 67108864/, {}, 2 * IMAGE_BYTES);
  });

  test.each([401, 403, 404])('when the server answers %s: that is not asked again', async (status) => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push({ kind: 'status', status });
    await expectRefusal(new RegExp(`expected 200 of GET https://.*, found ${status}`));
    expect(stage.images.requests).toBe(1);
  });

  test('when the password is wrong, or the server shows another certificate than the pinned one', async () => {
    await stage.addDisk(IMAGE_BYTES);
    const report = await expectRefusal(/found 401/, { password: 'not-the-password' });
    expect(JSON.stringify(report)).not.toContain('not-the-password');
    const other = await ImageServer.start();
    await other.close();
    await expectRefusal(/certificate/, { ca: other.ca, attempts: 1 });
  });

  test('when the server never answers', async () => {
    await stage.addDisk(IMAGE_BYTES);
    stage.images.answers.push(...Array.from({ length: 2 }, () => ({ kind: 'held' as const, afterBytes: 1 })));
    await expectRefusal(/the image was not received in 2 attempts, the last of which ended so: the download has made no progress for 1 s/, { attempts: 2, stall_timeout_s: 1 });
    expect(stage.images.requests).toBe(2);
  });
});
