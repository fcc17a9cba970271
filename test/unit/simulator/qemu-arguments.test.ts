import { describe, expect, test } from '@jest/globals';
import { parseRackConfig } from '../../../simulator/config.ts';
import { qemuArguments, type QemuMachine } from '../../../simulator/qemu-arguments.ts';
import { vmSchema } from '../../../simulator/vm-config.ts';

const disk = { path: '/images/a,b=c.img', serial: undefined, wwn: null, model: null, sector_size: 512 as const };
const machine: QemuMachine = { id: 'm', uuid: '00000000-0000-4000-8000-000000000001', macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'], disks: [disk, { ...disk, path: '/images/d.img', serial: 'S' }], vm: vmSchema.parse({}), taps: ['t0', 't1'], order: ['disk', 'network'], cd: null, variablesFile: '/run/m/vars.fd', qmpFd: 3 };

interface Device {
  driver: string;
  [property: string]: unknown;
}
const valuesOf = (args: readonly string[], option: string): string[] => args.filter((_argument, index) => args[index - 1] === option);
const devicesOf = (args: readonly string[]): Device[] => valuesOf(args, '-device').filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as Device);
const order = (args: readonly string[]): unknown[] => devicesOf(args).filter(({ bootindex }) => bootindex !== undefined).sort((a, b) => Number(a['bootindex']) - Number(b['bootindex'])).map(({ driver, serial, mac }) => serial ?? mac ?? driver);

describe('QEMU is started', () => {
  test('without KVM, stopped until its network is plugged in, and ends at a reset', () => {
    const args = qemuArguments(machine);
    expect(args).toEqual(expect.arrayContaining(['pc,accel=tcg,graphics=off', '-S', '-no-reboot']));
    expect(valuesOf(args, '-netdev')).toEqual(['tap,id=net0,ifname=t0,script=no,downscript=no', 'tap,id=net1,ifname=t1,script=no,downscript=no']);
  });

  test('with devices in the order in which the firmware tries them, all of a kind before the next kind', () => {
    expect(order(qemuArguments(machine))).toEqual(['m-disk0', 'S', ...machine.macs]);
    expect(order(qemuArguments({ ...machine, cd: '/run/m/cd.iso', order: ['cd', 'network', 'disk'] }))).toEqual(['ide-cd', ...machine.macs, 'm-disk0', 'S']);
    expect(order(qemuArguments({ ...machine, order: ['network'] }))).toEqual([...machine.macs]);
  });

  test("with every path as it is, also when it looks like QEMU's options", () => {
    const nodes = valuesOf(qemuArguments(machine), '-blockdev').map((text) => JSON.parse(text) as { file: { filename: string } });
    expect(nodes.map(({ file }) => file.filename)).toEqual(['/images/a,b=c.img', '/images/d.img']);
  });

  test("as a UEFI machine with its own variables and the firmware's own network boot", () => {
    const args = qemuArguments({ ...machine, vm: vmSchema.parse({ firmware: 'uefi' }) });
    expect(args.join(' ')).toMatch(/OVMF_CODE_4M\.fd.*\/run\/m\/vars\.fd/);
    expect(devicesOf(args).filter(({ driver }) => driver === 'virtio-net-pci').map(({ romfile }) => romfile)).toEqual(['', '']);
  });

  test('with a watchdog that resets it, unless it has none', () => {
    expect(qemuArguments(machine).join(' ')).toContain('-device i6300esb -action watchdog=reset');
    expect(qemuArguments({ ...machine, vm: vmSchema.parse({ watchdog: false }) })).not.toContain('i6300esb');
  });
});

describe('the configuration of a virtual machine', () => {
  const rack = (more: object): unknown => parseRackConfig({ redfish: { username: 'u', password: 'p' }, run_directory: '/run/rack', machines: [{ id: 'm', macs: ['52:54:00:00:00:01'], disks: ['/images/a.img'], ...more }] }, 'test');

  test('needs no agent, which a simulated machine does', () => {
    expect(rack({ vm: {} })).toMatchObject({ machines: [{ vm: { memory_mb: 1024, firmware: 'bios', boot_order: ['disk', 'network'], watchdog: true } }] });
    expect(() => rack({})).toThrow(/machines\.0\.agent: required/);
  });

  test.each([
    ['a disk with a WWN', { vm: {}, disks: [{ path: '/a', wwn: '0x1' }] }, /neither wwn nor model/],
    ['a serial number that is cut off', { vm: {}, disks: [{ path: '/a', serial: 'x'.repeat(21) }] }, /at most 20 characters/],
    ['one tap for two network cards', { vm: { network: { tap: 't0' } }, macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'] }, /one tap/],
    ['an interface name that is an option', { vm: { network: { bridge: 'a,b' } } }, /vm\.network/],
    ['a boot order that names a device twice', { vm: { boot_order: ['disk', 'disk'] } }, /each device once/],
  ])('refuses %s', (_name, more, problem) => {
    expect(() => rack(more)).toThrow(problem);
  });
});
