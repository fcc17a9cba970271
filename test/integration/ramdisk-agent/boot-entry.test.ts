import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { SYSTEM_PATH } from '../../../protocol/program.ts';
import { EfiBootManager } from '../../../ramdisk-agent/hardware/boot-entries.ts';
import { describeWhere } from '../../machine-needs.ts';
import { DeployStage, readRange } from './deploy-stage.ts';
import { buildServerImage, IMAGE_BYTES } from './server-image.ts';

/**
 * The EFI system partitions are real FAT file systems. The firmware is not: no machine of a test has boot variables, and the
 * test machine's own must not be touched. In its place a program named efibootmgr, first on the PATH, lists entries in the
 * form of efibootmgr 17 and keeps a record of its arguments.
 */
jest.setTimeout(120_000);

const MIB = 1024 ** 2;
let directory: string;
let stage: DeployStage;
let vendorImage: string;
let fallbackImage: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-efi-'));
  vendorImage = await buildServerImage(directory, 'vendor.img', { efiFiles: ['EFI/BOOT/BOOTX64.EFI', 'EFI/BOOT/grubx64.efi', 'EFI/debian/grubx64.efi', 'EFI/debian/shimx64.efi'] });
  fallbackImage = await buildServerImage(directory, 'fallback.img', { efiFiles: ['EFI/Boot/bootx64.efi'] });
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  stage = await DeployStage.start();
  stage.bootMode = 'uefi';
  await stage.addDisk(IMAGE_BYTES);
});
afterEach(() => stage.close());

/** Lists two entries, one with our label; exits with `exitCode` when it is to change something. */
async function installRecorder(exitCode = 0): Promise<string> {
  const record = join(stage.directory, 'arguments');
  const program = join(stage.directory, 'efibootmgr');
  await writeFile(program, `#!/bin/sh\nfor argument; do printf '%s|' "$argument"; done >> ${record}\necho >> ${record}\n[ $# -gt 0 ] && exit ${exitCode}\nprintf 'BootCurrent: 0002\\nBootOrder: 0001,0002,000A\\nBoot0001* Metalshot\\nBoot0002* debian\\nBoot000A  Metalshot\\n'\n`);
  await chmod(program, 0o755);
  stage.bootEntries = new EfiBootManager({ PATH: `${stage.directory}:${SYSTEM_PATH}` });
  return record;
}

describeWhere(['root', 'loop'], 'a machine that boots by UEFI', () => {
  test("gets an entry for the vendor's loader on the image's own EFI system partition; older ones of ours are removed", async () => {
    const record = await installRecorder();
    stage.images.serve(vendorImage);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { boot_entry: 'created' } });
    expect((await readFile(record, 'utf8')).split('\n')).toEqual([
      '',
      '--quiet|--bootnum|0001|--delete-bootnum|',
      '--quiet|--bootnum|000A|--delete-bootnum|',
      `--quiet|--create|--disk|${stage.disks[0]!.device}|--part|1|--loader|\\EFI\\debian\\shimx64.efi|--label|Metalshot|`,
      '',
    ]);
  });

  test('gets an entry for the fallback loader where there is no other, under the label that was asked for', async () => {
    const record = await installRecorder();
    stage.images.serve(fallbackImage);
    expect(await stage.write(IMAGE_BYTES, { boot_label: 'Debian 12' })).toMatchObject({ command_result: { boot_entry: 'created' } });
    expect(await readFile(record, 'utf8')).toContain('|--loader|\\EFI\\Boot\\bootx64.efi|--label|Debian 12|');
  });

  test.each([
    ['whose firmware takes no entry', 1],
    ['without boot variables', null],
  ])('%s boots by the fallback path', async (_what, exitCode) => {
    if (exitCode !== null) await installRecorder(exitCode);
    stage.images.serve(vendorImage);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { boot_entry: 'fallback path' } });
  });

  test('fails with the reason when neither is possible, and nothing boots from the disk', async () => {
    await installRecorder(1);
    stage.images.serve(await buildServerImage(directory, 'no-fallback.img', { efiFiles: ['EFI/debian/grubx64.efi'] }));
    const report = await stage.write(IMAGE_BYTES);
    expect(report.command_error).toMatchObject({ message: expect.stringMatching(/no boot entry could be made for \\EFI\\debian\\grubx64\.efi \(efibootmgr failed with exit code 1.*no \\EFI\\BOOT/), details: '{"disk_touched":true}' });
    expect((await readRange(stage.disks[0]!.device, 0, MIB)).equals(Buffer.alloc(MIB))).toBe(true);
  });

  test('fails with the reason when the EFI system partition holds no loader', async () => {
    stage.images.serve(await buildServerImage(directory, 'no-loader.img', { efiFiles: ['readme.txt'] }));
    expect((await stage.write(IMAGE_BYTES)).command_error?.message).toMatch(/the EFI system partition \(partition 1 of \/dev\/loop\d+\) has no boot loader/);
  });
});

describeWhere(['root', 'loop'], 'a machine that boots by BIOS', () => {
  test('gets no entry, whatever the image has', async () => {
    const record = await installRecorder();
    stage.bootMode = 'bios';
    stage.images.serve(vendorImage);
    expect(await stage.write(IMAGE_BYTES)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { boot_entry: 'not needed' } });
    await expect(readFile(record)).rejects.toThrow('ENOENT');
  });
});
