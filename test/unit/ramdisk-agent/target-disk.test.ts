import { describe, expect, test } from '@jest/globals';
import { chooseTargetDisk, type TargetDisk } from '../../../ramdisk-agent/deploy/target-disk.ts';
import type { BlockDevice } from '../../../ramdisk-agent/devices/block-device.ts';

const GIB = 1024 ** 3;
const disk = (name: string, more: Partial<BlockDevice> = {}): BlockDevice => ({ name, sizeBytes: 10 * GIB, sectorSizeBytes: 512, rotational: false, model: null, vendor: null, serial: null, wwn: null, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, driver: null, ...more });

const SDA = disk('/dev/sda', { serial: 'A', wwn: '0x5000AAAA' });
const SDB = disk('/dev/sdb', { serial: 'B', wwn: '0x5000bbbb', sizeBytes: 20 * GIB });
const SDC = disk('/dev/sdc', { serial: 'B' });
const SMALL = disk('/dev/sdd', { sizeBytes: 2 * GIB });
const NOTHING = { serial: null, wwn: null, size_bytes: null };

describe('the disk to overwrite', () => {
  test.each<[string, BlockDevice[], TargetDisk, string]>([
    ['the recorded serial', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: 'B' } }, '/dev/sdb'],
    ['the recorded WWN, in whatever case', [SDA, SDB], { recorded_disk: { ...NOTHING, wwn: '0x5000aaaa' } }, '/dev/sda'],
    ['the recorded WWN among disks of one serial', [SDB, SDC], { recorded_disk: { ...NOTHING, serial: 'B', wwn: '0x5000bbbb' } }, '/dev/sdb'],
    ['the recorded serial in another case, with blanks', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: ' b ' } }, '/dev/sdb'],
    ['the recorded one, grown since', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: 'B', size_bytes: 10 * GIB } }, '/dev/sdb'],
    ['the recorded serial on a disk that does not show its WWN now', [SDA, SDC], { recorded_disk: { ...NOTHING, serial: 'B', wwn: '0x5000bbbb' } }, '/dev/sdc'],
    ['recorded and hinted', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: 'B' }, root_device: { size: '>= 20' } }, '/dev/sdb'],
    ['the only one that hints match', [SDA, SDB], { root_device: { size: '>= 15' } }, '/dev/sdb'],
    ['the one that a hint names by its serial, whatever is recorded', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: 'A' }, root_device: { serial: 'b' } }, '/dev/sdb'],
    ['the one that a hint names by its WWN, where the recorded one is gone', [SDA], { recorded_disk: { ...NOTHING, serial: 'X' }, root_device: { wwn: 's== 0x5000aaaa' } }, '/dev/sda'],
    ['a small one that a hint names', [SDA, SMALL], { root_device: { name: '/dev/sdd' } }, '/dev/sdd'],
    ['the only one of at least 4 GiB', [SMALL, SDA], {}, '/dev/sda'],
    ['the only one, where the record holds nothing to compare but a size', [SDA], { recorded_disk: { ...NOTHING, size_bytes: 1 } }, '/dev/sda'],
  ])('is %s', (_what, devices, target, expected) => {
    expect(chooseTargetDisk(devices, target).device.name).toBe(expected);
  });

  test.each<[string, BlockDevice[], TargetDisk, RegExp]>([
    ['the recorded serial is not there', [SDA], { recorded_disk: { ...NOTHING, serial: 'X' } }, /exactly one disk .*\(serial X\), found none, but \/dev\/sda .*nothing is written/],
    ['one of two recorded facts differs', [SDA], { recorded_disk: { ...NOTHING, serial: 'A', wwn: '0x1' } }, /\(serial A, wwn 0x1\), found none/],
    ['the recorded serial is there twice, whatever size is recorded', [SDB, SDC], { recorded_disk: { ...NOTHING, serial: 'B', size_bytes: 10 * GIB } }, /found 2: \/dev\/sdb .*, \/dev\/sdc/],
    ['hints describe another disk than the recorded one', [SDA, SDB], { recorded_disk: { ...NOTHING, serial: 'A' }, root_device: { size: '>= 15' } }, /the recorded disk \/dev\/sda .* does not match the root device hints/],
    ['the recorded disk is missing and hints match another', [SDA], { recorded_disk: { ...NOTHING, serial: 'X' }, root_device: { name: '/dev/sda' } }, /found none/],
    ['hints match several', [SDA, SDB, SMALL], { root_device: { size: '>= 4' } }, /exactly one disk that matches the root device hints .*, found 2: \/dev\/sda .*, \/dev\/sdb .*nothing is written/],
    ['no disk matches the hints', [SDA], { root_device: { serial: 'X' } }, /no disk matches the root device hints/],
    ['there are several and nothing names one', [SDA, SDB], {}, /exactly one disk of at least 4 GiB; found \/dev\/sda .*, \/dev\/sdb .*root_device/],
    ['there are several and the hints are empty', [SDA, SDB], { root_device: {} }, /exactly one disk/],
    ['there are only small ones', [SMALL], {}, /exactly one disk of at least 4 GiB; found \/dev\/sdd/],
    ['there is none', [], {}, /found no disks at all/],
  ])('is refused when %s', (_what, devices, target, reason) => {
    expect(() => chooseTargetDisk(devices, target)).toThrow(reason);
  });
});
