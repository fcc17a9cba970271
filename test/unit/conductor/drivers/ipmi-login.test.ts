import { afterAll, beforeAll, afterEach, describe, expect, test } from '@jest/globals';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { startIpmiSim, type IpmiSimRig } from '../../../contract/power/ipmi-sim-rig.ts';
import { releaseIpmi, setUpIpmiDrivers } from './ipmi-rig.ts';
import { failureOf } from './redfish-rig.ts';

/** ipmi_sim knows cipher suites up to 3 only, as older BMCs do. */
let sim: IpmiSimRig;
beforeAll(async () => {
  sim = await startIpmiSim();
});
afterAll(() => sim.release());
afterEach(releaseIpmi);

const suitesOf = (runs: string[]): string[] => runs.map((run) => / -C (\d+)/.exec(run)?.[1] ?? 'none');

describe('a login on an IPMI 2.0 BMC', () => {
  test('takes the best cipher suite that the BMC takes, and remembers it', async () => {
    const { power, task, runs } = await setUpIpmiDrivers(sim.driverInfo);
    expect(await power.getPowerState(task)).toBe('power off');
    await power.getPowerState(makeTask({ driverInfo: { ...sim.driverInfo, ipmi_priv_level: 'OPERATOR' } }));
    expect(suitesOf(await runs())).toEqual(['17', '3', '3']);
  });

  test('takes no other cipher suite than the node names', async () => {
    const { power, task, runs } = await setUpIpmiDrivers({ ...sim.driverInfo, ipmi_cipher_suite: 17 });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/invalid authentication algorithm.*set ipmi_cipher_suite to one that the BMC offers/);
    await power.getPowerState(makeTask({ driverInfo: { ...sim.driverInfo, ipmi_cipher_suite: '3' } }));
    expect(suitesOf(await runs())).toEqual(['17', '3']);
  });

  test.each([
    ['a wrong password', { ipmi_password: 'secret-1' }, /the BMC refuses the login: check ipmi_password/],
    ['an unknown user', { ipmi_username: 'nobody' }, /unauthorized name; the BMC refuses the login: check ipmi_username/],
    ['a Kg key where the BMC has none', { ipmi_hex_kg_key: 'ab'.repeat(20) }, /check ipmi_hex_kg_key/],
  ])('with %s fails at once, saying which property to check', async (_, wrong, message) => {
    const { power, task, runs } = await setUpIpmiDrivers({ ...sim.driverInfo, ipmi_cipher_suite: 3, ...wrong });
    const error = await failureOf(power.getPowerState(task));
    expect(error).toMatchObject({ code: 'OperationFailed', message: expect.stringMatching(message) });
    expect(JSON.stringify(error)).not.toMatch(/secret-1|abab/);
    expect(await runs()).toHaveLength(1);
  });

  test('with a privilege level that may look only says so when more is asked for', async () => {
    const { power, task } = await setUpIpmiDrivers({ ...sim.driverInfo, ipmi_priv_level: 'USER' });
    expect(await power.getPowerState(task)).toBe('power off');
    expect((await failureOf(power.setPowerState(task, 'power on', 10_000))).message).toMatch(/Insufficient privilege level; check ipmi_priv_level/);
  });

  test('with protocol version 1.5 works on a BMC that still has it', async () => {
    const { power, task } = await setUpIpmiDrivers({ ...sim.driverInfo, ipmi_protocol_version: '1.5' });
    expect(await power.getPowerState(task)).toBe('power off');
  });

  test('uses the Kg key of the BMC, whatever bytes it has', async () => {
    const withKey = await startIpmiSim({ kg_key: '0102ff80aa0a5c25220a7f0c0d0e0f0a' });
    try {
      const { power, task } = await setUpIpmiDrivers({ ...withKey.driverInfo, ipmi_hex_kg_key: '0102ff80aa0a5c25220a7f0c0d0e0f0a00000000' });
      expect(await power.getPowerState(task)).toBe('power off');
      expect((await failureOf(power.getPowerState(makeTask({ driverInfo: withKey.driverInfo })))).message).toMatch(/check ipmi_hex_kg_key/);
    } finally {
      await withKey.release();
    }
  });
});
