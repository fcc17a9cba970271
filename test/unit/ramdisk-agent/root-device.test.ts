import { describe, expect, test } from '@jest/globals';
import type { BlockDevice } from '../../../ramdisk-agent/devices/block-device.ts';
import { chooseRootDevice } from '../../../ramdisk-agent/root-device.ts';

const GIB = 1024 ** 3;
const disk = (name: string, sizeGib: number, more: Partial<BlockDevice> = {}): BlockDevice => ({
  name,
  sizeBytes: sizeGib * GIB,
  sectorSizeBytes: 512,
  rotational: false,
  model: null,
  vendor: null,
  serial: null,
  wwn: null,
  wwnWithExtension: null,
  wwnVendorExtension: null,
  hctl: null,
  byPath: null,
  driver: null,
  ...more,
});

const SMALL = disk('/dev/sdb', 32, { model: 'SuperDOM 32', vendor: 'ATA', serial: 'DOM-1', hctl: '1:0:0:0' });
const LARGE = disk('/dev/sda', 931.5, {
  rotational: true,
  model: 'ST1000NM0033-9ZM',
  vendor: 'Seagate',
  serial: 'Z1W1ABCD',
  wwn: '0x5000c500',
  wwnWithExtension: '0x5000c5000x01',
  wwnVendorExtension: '0x01',
  hctl: '0:0:0:0',
  byPath: '/dev/disk/by-path/pci-0000:00:1f.2-ata-1',
});
const DISKS = [LARGE, SMALL];

describe('without hints', () => {
  test.each([
    ['the smallest disk', [disk('/dev/sda', 10), disk('/dev/sdb', 8)], '/dev/sdb'],
    ['but never one below 4 GiB', [disk('/dev/sda', 10), disk('/dev/sdb', 3.99)], '/dev/sda'],
    ['also one of exactly 4 GiB', [disk('/dev/sda', 10), disk('/dev/sdb', 4)], '/dev/sdb'],
    ['of equal ones the first by name', [disk('/dev/sdc', 8), disk('/dev/sda', 8), disk('/dev/sdb', 8)], '/dev/sda'],
  ])('%s is taken', (_rule, disks, expected) => {
    expect(chooseRootDevice(disks, undefined).name).toBe(expected);
    expect(chooseRootDevice(disks, {}).name).toBe(expected);
  });

  test('a refusal lists what was found', () => {
    expect(() => chooseRootDevice([disk('/dev/sda', 2, { serial: 'S1' })], undefined)).toThrow('expected a disk of at least 4 GiB to capture, found /dev/sda (2 GiB, serial S1)');
    expect(() => chooseRootDevice([], undefined)).toThrow('no disks at all');
  });
});

describe('hints', () => {
  test.each([
    [{ serial: 'z1w1abcd' }, '/dev/sda'],
    [{ serial: 's== Z1W1ABCD' }, '/dev/sda'],
    [{ serial: 's!= Z1W1ABCD' }, '/dev/sdb'],
    [{ model: 'SuperDOM 32' }, '/dev/sdb'],
    [{ model: '<in> superdom' }, '/dev/sdb'],
    [{ model: '<all-in> 32 super' }, '/dev/sdb'],
    [{ model: '<or> nothing <or> superdom 32' }, '/dev/sdb'],
    [{ vendor: 's< m' }, '/dev/sdb'],
    [{ vendor: 's<= ata' }, '/dev/sdb'],
    [{ vendor: 's> m' }, '/dev/sda'],
    [{ vendor: 's>= seagate' }, '/dev/sda'],
    [{ wwn: '0x5000C500' }, '/dev/sda'],
    [{ wwn_with_extension: '0x5000c5000x01' }, '/dev/sda'],
    [{ wwn_vendor_extension: '0x01' }, '/dev/sda'],
    [{ hctl: '1:0:0:0' }, '/dev/sdb'],
    [{ by_path: '/dev/disk/by-path/pci-0000:00:1f.2-ata-1' }, '/dev/sda'],
    [{ name: '/dev/sdb' }, '/dev/sdb'],
    [{ rotational: true }, '/dev/sda'],
    [{ rotational: 'False' }, '/dev/sdb'],
    [{ size: 32 }, '/dev/sdb'],
    [{ size: '== 32' }, '/dev/sdb'],
    [{ size: '= 100' }, '/dev/sda'], // "at least", as Ironic has it
    [{ size: '>= 931' }, '/dev/sda'],
    [{ size: '> 931' }, '/dev/sda'],
    [{ size: '< 100' }, '/dev/sdb'],
    [{ size: '<= 32' }, '/dev/sdb'],
    [{ size: '!= 32' }, '/dev/sda'],
    [{ size: '<or> 16 <or> 32' }, '/dev/sdb'],
    [{ size: '>= 32', rotational: false, vendor: 'ata' }, '/dev/sdb'],
  ])('%j finds %s', (hints, expected) => {
    expect(chooseRootDevice(DISKS, hints).name).toBe(expected);
  });

  test('all must match', () => {
    expect(() => chooseRootDevice(DISKS, { serial: 'DOM-1', rotational: true })).toThrow('no disk matches the root device hints {"serial":"DOM-1","rotational":true}; found /dev/sda (931.5 GiB, ST1000NM0033-9ZM, serial Z1W1ABCD, wwn 0x5000c500), /dev/sdb');
  });

  test('a disk that lacks what a hint asks about never matches', () => {
    expect(() => chooseRootDevice([disk('/dev/vda', 10)], { serial: 's!= something' })).toThrow('no disk matches');
  });

  test('the first disk that matches is taken, in the order in which the system lists them', () => {
    expect(chooseRootDevice(DISKS, { size: '>= 1' }).name).toBe('/dev/sda');
  });

  test.each([
    [{ colour: 'red' }, 'unknown hint "colour"'],
    [{ serial: '' }, 'the hint "serial" is empty'],
    [{ serial: 's==' }, 'the hint "serial" is empty or lacks a value'],
    [{ size: 'large' }, 'needs a number'],
    [{ size: '<in> 3' }, 'is a number, "<in>" compares texts'],
    [{ size: 's== 32' }, 'is a number, "s==" compares texts'],
    [{ rotational: 'perhaps' }, 'needs true or false'],
  ])('%j is refused with the reason', (hints, reason) => {
    expect(() => chooseRootDevice(DISKS, hints)).toThrow(reason);
  });
});
