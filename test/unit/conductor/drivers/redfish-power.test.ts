import { afterEach, describe, expect, test } from '@jest/globals';
import { ENOUGH_MS, RESET, failureOf, releaseRedfish, setUpRedfish } from './redfish-rig.ts';

afterEach(releaseRedfish);

describe('power', () => {
  test.each([204, 400, 409])('counts as reached when the BMC answers %d because the machine is on its way there already', async (alreadyStatus) => {
    const { bmc, power, task } = await setUpRedfish({ alreadyStatus });
    bmc.system().power = 'On';
    bmc.system().readsUntilSettled = 2; // still reports "PoweringOn": a command is answered as "already so"
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(await power.getPowerState(task)).toBe('power on');
  });

  test('that the BMC refuses for good fails with its words', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'POST', path: RESET, does: { status: 400, body: { error: { message: 'The chassis is locked.' } } }, times: 99 });
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toContain('answered 400: The chassis is locked.');
    expect(bmc.count('POST /redfish/v1/Systems/1/Actions')).toBe(3);
  });

  test('that is forbidden fails at once', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'POST', path: RESET, does: { status: 403, body: { error: { message: 'Read-only user.' } } }, times: 99 });
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toContain('answered 403: Read-only user.');
    expect(bmc.count('POST /redfish/v1/Systems/1/Actions')).toBe(1);
  });

  test('that is accepted but never happens fails after its time, telling what the BMC reports', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'POST', path: RESET, does: { status: 204 } });
    expect((await failureOf(power.setPowerState(task, 'power on', 2_000))).message).toMatch(/did not reach "power on" within 2 s; the BMC reports "Off"/);
  });

  test.each([['action info' as const], ['not told' as const]])('uses the reset types that the BMC names (%s)', async (resetTypes) => {
    const { bmc, power, task } = await setUpRedfish({ resetTypes });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    await power.setPowerState(task, 'power off', ENOUGH_MS);
    expect(bmc.system().power).toBe('Off');
  });

  test('cannot be changed by a BMC that has no reset type for it, which is said', async () => {
    const { power, task } = await setUpRedfish({ resetTypes: ['Nmi'] });
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toMatch(/none of the reset types On, ForceOn; it has Nmi/);
  });

  test('is not off before the BMC says so', async () => {
    const { bmc, power, task } = await setUpRedfish({ readsUntilSettled: 5 });
    bmc.system().power = 'On';
    await power.setPowerState(task, 'power off', ENOUGH_MS);
    expect(bmc.system().readsUntilSettled).toBe(0);
  });

  test('a soft power off that the operating system ignores is reported, not forced', async () => {
    const { bmc, power, task } = await setUpRedfish({ ignoresGraceful: true });
    bmc.system().power = 'On';
    expect(await power.softPowerOff(task, 100)).toBe(false);
    expect(bmc.system().power).toBe('On');
  });

  test('a soft power off that the BMC does not offer is reported at once', async () => {
    const { bmc, power, task } = await setUpRedfish({ resetTypes: ['On', 'ForceOff'] });
    bmc.system().power = 'On';
    expect(await power.softPowerOff(task, 3_600_000)).toBe(false);
    expect(bmc.count('POST /redfish/v1/Systems/1/Actions')).toBe(0);
  });
});
