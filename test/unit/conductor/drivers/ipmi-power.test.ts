import { afterEach, describe, expect, test } from '@jest/globals';
import { ENOUGH_MS, releaseIpmi, setUpIpmi } from './ipmi-rig.ts';
import { failureOf } from './redfish-rig.ts';

afterEach(releaseIpmi);

const NOT_NOW = 0xd5;

describe('power by IPMI', () => {
  test('that is accepted but never happens fails after its time, telling what the BMC reports', async () => {
    const { bmc, power, task } = await setUpIpmi();
    bmc.faults.push({ command: '00 02', does: 0 });
    expect((await failureOf(power.setPowerState(task, 'power on', 6_000))).message).toMatch(/did not reach "power on" within 6 s; the BMC reports "power off"/);
    expect(bmc.count('00 02')).toBe(1);
  });

  test('that is refused although nothing is in its way fails with the words of the BMC', async () => {
    const { bmc, power, task } = await setUpIpmi();
    bmc.faults.push({ command: '00 02', does: NOT_NOW, times: 99 });
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toMatch(/chassis power on: .*Command not supported in present state; the BMC refuses this command/);
    expect(bmc.count('00 02')).toBe(3);
  });

  test('is reached when the command is refused because the machine is there by then', async () => {
    const { bmc, power, task } = await setUpIpmi({ readsUntilSettled: 2 });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    bmc.faults.push({ command: '00 02', does: NOT_NOW });
    await power.setPowerState(task, 'power off', ENOUGH_MS);
    expect(bmc.power).toBe(false);
  });

  test('a soft power off that the operating system ignores is reported, not forced', async () => {
    const { bmc, power, task } = await setUpIpmi({ ignoresSoft: true });
    bmc.power = true;
    expect(await power.softPowerOff(task, 6_000)).toBe(false);
    expect(bmc.power).toBe(true);
    expect(bmc.count('00 02 05')).toBe(1);
  });

  test('a soft power off that the BMC cannot ask for is told at once', async () => {
    const { bmc, power, task } = await setUpIpmi({ refusesSoft: true });
    bmc.power = true;
    expect(await power.softPowerOff(task, ENOUGH_MS)).toBe(false);
    expect(bmc.power).toBe(true);
  });

  test('a privilege that is too low is said at once', async () => {
    const { bmc, power, task } = await setUpIpmi();
    bmc.faults.push({ command: '00 02', does: 0xd4 });
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toMatch(/Insufficient privilege level; check ipmi_priv_level/);
    expect(bmc.count('00 02')).toBe(1);
  });
});
