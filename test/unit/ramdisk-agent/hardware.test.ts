import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findControllerDriver } from '../../../ramdisk-agent/devices/device-driver.ts';
import { findEntries } from '../../../ramdisk-agent/hardware/boot-entries.ts';
import { ConfiguredHardware, hardwareConfigSchema } from '../../../ramdisk-agent/hardware/configured-hardware.ts';
import { RamdiskHardware, readHardware } from '../../../ramdisk-agent/hardware/ramdisk-hardware.ts';
import { collectInventory } from '../../../ramdisk-agent/inventory.ts';
import { inventorySchema } from '../../../protocol/inventory.ts';

/** Trees in the form of sysfs(5) and proc(5), as kernels 6.1 lay them out for the hardware that is named. */
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'metalshot-sysfs-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}
async function link(path: string, target: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await mkdir(join(root, target), { recursive: true });
  await symlink(relative(dirname(join(root, path)), join(root, target)), join(root, path));
}

/** A device's directory with its driver and subsystem. */
async function device(path: string, subsystem: string, driver?: string): Promise<void> {
  await link(`${path}/subsystem`, `bus/${subsystem}`);
  if (driver !== undefined) await link(`${path}/driver`, `bus/${subsystem}/drivers/${driver}`);
}

describe('the driver of a disk is that of its controller', () => {
  test.each([
    ['SATA', 'ahci', [['devices/pci0000:00/0000:00:1f.2', 'pci', 'ahci'], ['devices/pci0000:00/0000:00:1f.2/ata1/host0', 'scsi'], ['devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0', 'scsi', 'sd']]],
    ['virtio-blk', 'virtio_blk', [['devices/pci0000:00/0000:00:05.0', 'pci', 'virtio-pci'], ['devices/pci0000:00/0000:00:05.0/virtio2', 'virtio', 'virtio_blk']]],
    ['virtio-scsi', 'virtio_scsi', [['devices/pci0000:00/0000:00:05.0', 'pci', 'virtio-pci'], ['devices/pci0000:00/0000:00:05.0/virtio2', 'virtio', 'virtio_scsi'], ['devices/pci0000:00/0000:00:05.0/virtio2/host0/target0:0:0/0:0:0:0', 'scsi', 'sd']]],
    ['NVMe', 'nvme', [['devices/pci0000:00/0000:01:00.0', 'pci', 'nvme'], ['devices/pci0000:00/0000:01:00.0/nvme/nvme0', 'nvme']]],
  ] as const)('%s: %s', async (_kind, driver, chain) => {
    for (const [path, subsystem, own] of chain) await device(path, subsystem, own);
    await link('dev/block/8:0/device', chain.at(-1)![0]);
    expect(findControllerDriver(join(root, 'dev/block/8:0'))).toBe(driver);
  });

  test('a loop device has none', () => {
    expect(findControllerDriver(join(root, 'dev/block/7:0'))).toBeNull();
  });
});

describe('the hardware of a machine', () => {
  test('is read from sysfs and procfs; only real Ethernet interfaces count', async () => {
    await device('devices/pci0000:00/0000:02:00.0', 'pci', 'igb');
    await link('class/net/eno1/device', 'devices/pci0000:00/0000:02:00.0');
    await put('class/net/eno1/address', '52:54:00:00:00:01\n');
    await put('class/net/eno1/type', '1\n');
    await link('class/net/ib0/device', 'devices/pci0000:00/0000:02:00.0');
    await put('class/net/ib0/type', '32\n');
    await put('class/net/br0/type', '1\n');
    await put('class/dmi/id/sys_vendor', 'Dell Inc.\n');
    await put('class/dmi/id/product_serial', '\n');
    await put('proc/meminfo', 'MemTotal:       16384 kB\nMemFree:        1 kB\n');
    expect(readHardware(root, join(root, 'proc'))).toEqual({
      interfaces: [{ name: 'eno1', mac_address: '52:54:00:00:00:01', driver: 'igb' }],
      cpu: { architecture: expect.any(String), count: cpus().length, model_name: cpus()[0]!.model.trim() || null },
      memory: { total: 16384 * 1024 },
      system_vendor: { manufacturer: 'Dell Inc.', product_name: null, serial_number: null },
      boot: { current_boot_mode: 'bios' },
    });
    await mkdir(join(root, 'firmware/efi'), { recursive: true });
    expect(readHardware(root, join(root, 'proc')).boot.current_boot_mode).toBe('uefi');
  });

  test('is not looked at outside the ramdisk', () => {
    expect(() => new RamdiskHardware().facts()).toThrow('this is not the Metalshot ramdisk');
  });

  test('of a configured machine is what the configuration says, and nothing of this system', async () => {
    const config = hardwareConfigSchema.parse({ boot_mode: 'uefi', interface_driver: 'virtio_net', memory_bytes: 1024, system_vendor: { serial_number: 'm1' } });
    const disk = { name: '/dev/loop3', sizeBytes: 4096, sectorSizeBytes: 512, rotational: false, model: null, vendor: null, serial: 'm1-disk0', wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: 'virtio_blk' };
    const inventory = await collectInventory({ list: () => Promise.resolve([disk]) }, new ConfiguredHardware(config, ['52:54:00:00:00:01']));
    expect(inventorySchema.parse(inventory)).toEqual({
      disks: [{ name: '/dev/loop3', model: null, vendor: null, serial: 'm1-disk0', wwn: null, size: 4096, sector_size: 512, rotational: false, driver: 'virtio_blk' }],
      interfaces: [{ name: 'eth0', mac_address: '52:54:00:00:00:01', driver: 'virtio_net' }],
      cpu: { architecture: 'x86_64', count: 1, model_name: null },
      memory: { total: 1024 },
      system_vendor: { manufacturer: null, product_name: null, serial_number: 'm1' },
      boot: { current_boot_mode: 'uefi' },
    });
  });
});

describe('boot entries of a label', () => {
  test.each([
    ['efibootmgr 17', 'BootCurrent: 0001\nTimeout: 1 seconds\nBootOrder: 0001,0000\nBoot0000* Metalshot\nBoot0001* Metalshot 2\nBoot00AF  Metalshot\n'],
    ['efibootmgr 18', 'BootOrder: 0001,0000\nBoot0000* Metalshot\tHD(1,GPT,7b0f,0x800,0x82000)/File(\\EFI\\debian\\shimx64.efi)\nBoot0001* Metalshot 2\tPciRoot(0x0)\nBoot00AF  Metalshot\tHD(1)\n'],
  ])('are found in what %s lists', (_version, listed) => {
    expect(findEntries(listed, 'Metalshot')).toEqual(['0000', '00AF']);
    expect(findEntries(listed, 'Metal')).toEqual([]);
  });
});
