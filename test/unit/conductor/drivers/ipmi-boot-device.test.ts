import { afterEach, describe, expect, test } from '@jest/globals';
import { ENOUGH_MS, releaseIpmi, setUpIpmi } from './ipmi-rig.ts';
import { failureOf } from './redfish-rig.ts';

afterEach(releaseIpmi);

const SET_FLAGS = '00 08 05';
const KEEP_FLAGS = '00 08 03 08';

describe('the boot device by IPMI', () => {
  test.each([
    ['pxe', false, {}, '80 04'],
    ['pxe', true, {}, 'c0 04'],
    ['disk', false, { capabilities: 'boot_mode:uefi,cpu:x' }, 'a0 08'],
    ['cdrom', true, { capabilities: { boot_mode: 'uefi' } }, 'e0 14'],
    ['bios', false, { capabilities: 'boot_mode:bios' }, '80 18'],
    ['safe', false, {}, '80 0c'],
  ] as const)('%s (for good: %s, properties %j) reaches the BMC as flags %s', async (device, persistent, properties, flags) => {
    const { bmc, management, task } = await setUpIpmi({}, {}, properties);
    await management.setBootDevice(task, device, persistent);
    expect(bmc.commands.filter((command) => command.startsWith(SET_FLAGS))).toEqual([`${SET_FLAGS} ${flags} 00 00 00`]);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: device, persistent });
  });

  test('is kept for longer than 60 seconds, which the BMC is told before', async () => {
    const { bmc, management, task } = await setUpIpmi();
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.keepsBootFlags).toBe(true);
    expect(bmc.commands.indexOf(KEEP_FLAGS)).toBeLessThan(bmc.commands.findIndex((command) => command.startsWith(SET_FLAGS)));
  });

  test('is set on a BMC that cannot keep it for longer, too, and without asking where the node says so', async () => {
    const refusing = await setUpIpmi({ refusesToKeepBootFlags: true });
    await refusing.management.setBootDevice(refusing.task, 'disk', false);
    expect(await refusing.management.getBootDevice(refusing.task)).toEqual({ bootDevice: 'disk', persistent: false });
    const { bmc, management, task } = await setUpIpmi();
    await management.setBootDevice({ ...task, node: { ...task.node, driverInfo: { ...task.node.driverInfo, ipmi_disable_boot_timeout: false } } }, 'disk', false);
    expect(bmc.count(KEEP_FLAGS)).toBe(0);
  });

  test('is read back as it stands when the BMC does not use it up', async () => {
    const { power, management, task } = await setUpIpmi({ ignoresOnce: true });
    await management.setBootDevice(task, 'pxe', false);
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: 'pxe', persistent: false });
  });

  test('is nothing when the flags are not valid, whatever they say', async () => {
    const { bmc, management, task } = await setUpIpmi({ hidesBootFlags: true });
    await management.setBootDevice(task, 'pxe', true);
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: null, persistent: null });
    expect(bmc.bootFlags[1]).toBe(0x04);
  });

  test('that the BMC took but does not report is an error', async () => {
    const { bmc, management, task } = await setUpIpmi();
    await management.setBootDevice(task, 'pxe', true);
    bmc.faults.push({ command: '00 08', does: 0, times: 99 });
    expect((await failureOf(management.setBootDevice(task, 'disk', false))).message).toMatch(/the boot device was set to disk, but the BMC reports pxe/);
  });

  test('that is none of ours is told as unknown, not as none', async () => {
    const { bmc, management, task } = await setUpIpmi();
    bmc.bootFlags = Buffer.from([0xc0, 0x3c, 0, 0, 0]); // floppy, for good
    expect(await management.getBootDevice(task)).toEqual({ bootDevice: null, persistent: true });
  });

  test('that the BMC refuses fails with its words', async () => {
    const { bmc, management, task } = await setUpIpmi({ refusesToKeepBootFlags: true });
    bmc.faults.push({ command: '00 08', does: 0xcc, times: 99 });
    expect((await failureOf(management.setBootDevice(task, 'cdrom', false))).message).toMatch(/chassis bootdev cdrom: .*Invalid data field in request/);
  });
});
