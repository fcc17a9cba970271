import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ExplicitDevices } from '../../../ramdisk-agent/devices/explicit-devices.ts';
import { parseLsblk } from '../../../ramdisk-agent/devices/lsblk.ts';
import { RamdiskDevices, selectDisks } from '../../../ramdisk-agent/devices/ramdisk-devices.ts';

const row = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({ name, path: `/dev/${name}`, type: 'disk', size: 10_737_418_240, ro: false, rm: false, rota: false, model: ' Model  ', vendor: null, serial: '', wwn: null, hctl: null, 'log-sec': 512, 'maj:min': '8:0', ...more });

describe('in the ramdisk', () => {
  test('fixed disks are found, and nothing else', () => {
    const rows = parseLsblk(
      JSON.stringify({
        blockdevices: [row('sda'), row('nvme0n1'), row('vda'), row('sdb', { rm: true }), row('sdc', { ro: true }), row('sdd', { size: 0 }), row('loop0', { type: 'loop' }), row('ram0'), row('zram0'), row('sr0', { type: 'rom' }), row('fd0'), row('dm-0', { type: 'lvm' }), row('md0', { type: 'raid1' })],
      }),
    );
    expect(selectDisks(rows).map(({ name }) => name)).toEqual(['sda', 'nvme0n1', 'vda']);
    expect(rows[0]).toMatchObject({ model: 'Model', serial: null });
  });

  test('which this is not: the disks of this host are not listed', async () => {
    await expect(new RamdiskDevices().list()).rejects.toThrow(/this is not the Metalshot ramdisk \(there is no \/etc\/metalshot-ramdisk, \/proc\/cmdline has no ipa-api-url\)/);
  });
});

describe('an explicit list', () => {
  test('refuses what is no block device', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-devices-'));
    try {
      const file = join(directory, 'disk.img');
      await writeFile(file, 'no device');
      await expect(new ExplicitDevices([file]).list()).rejects.toThrow(`devices: ${file} is not a block device`);
      await expect(new ExplicitDevices([join(directory, 'nothing')]).list()).rejects.toThrow('cannot be opened');
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
