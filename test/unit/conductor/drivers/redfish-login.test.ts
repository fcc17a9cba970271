import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../rig/until.ts';
import { ENOUGH_MS, failureOf, releaseRedfish, setUpRedfish } from './redfish-rig.ts';

afterEach(releaseRedfish);

describe('a login', () => {
  const secrets = (error: unknown): string => JSON.stringify(error, (_, value: unknown) => (value instanceof Error ? { ...value, message: value.message, stack: value.stack, cause: value.cause } : value));

  test.each(['auto', 'session', 'basic'])('with a wrong password is a clear error that does not hold it (%s), and is tried once', async (authType) => {
    const { bmc, power, task } = await setUpRedfish({}, {}, { redfish_password: 'wrong-0815', redfish_auth_type: authType });
    const error = await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS));
    expect(error.message).toMatch(/refuses the login of user "admin": check redfish_username and redfish_password/);
    expect(secrets(error)).not.toContain('wrong-0815');
    expect(secrets(error)).not.toContain(Buffer.from('admin:wrong-0815').toString('base64'));
    expect(bmc.count('POST') + bmc.count('GET /redfish/v1/Systems')).toBe(1);
  });

  test('makes one session, uses it for all requests at the same time, and ends it', async () => {
    const { bmc, power, management, task, close } = await setUpRedfish({ basic: false });
    await Promise.all([power.getPowerState(task), management.getBootDevice(task), power.getPowerState(task)]);
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.sessionsMade).toBe(1);
    expect(bmc.sessions.size).toBe(1);
    await close();
    expect(bmc.sessions.size).toBe(0);
  });

  test('ends a session that nobody needs any more, by itself', async () => {
    const { bmc, power, task } = await setUpRedfish({}, { sessionIdleMs: 1 });
    await power.getPowerState(task);
    await until('the session has ended', () => bmc.sessions.size === 0, ENOUGH_MS);
    expect(await power.getPowerState(task)).toBe('power off'); // with a new one
  });

  test('is renewed when the BMC has dropped the session', async () => {
    const { bmc, power, task } = await setUpRedfish();
    await power.getPowerState(task);
    bmc.sessions.clear();
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.sessionsMade).toBe(2);
  });

  test('falls back to basic authentication where there are no sessions', async () => {
    const { bmc, power, task } = await setUpRedfish({ sessions: false });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.sessionsMade).toBe(0);
    expect(bmc.count('POST /redfish/v1/SessionService')).toBe(1);
  });

  test('uses basic authentication while the BMC has no free session, and a session later', async () => {
    const { bmc, power, task } = await setUpRedfish({}, {}, { redfish_system_id: '/redfish/v1/Systems/1' });
    bmc.faults.push({ method: 'POST', path: /Sessions$/, does: { status: 503 }, times: 4 });
    expect(await power.getPowerState(task)).toBe('power off');
    expect(bmc.sessionsMade).toBe(0);
    expect(await power.getPowerState(task)).toBe('power off');
    expect(bmc.sessionsMade).toBe(1);
  });

  test('by session only fails where there are none', async () => {
    const { power, task } = await setUpRedfish({ sessions: false }, {}, { redfish_auth_type: 'session' });
    expect((await failureOf(power.getPowerState(task))).message).toContain('answered 404: There is no session service.');
  });
});
