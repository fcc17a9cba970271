import { afterEach, describe, expect, test } from '@jest/globals';
import { ENOUGH_MS, failureOf, releaseRedfish, setUpRedfish } from './redfish-rig.ts';

afterEach(releaseRedfish);

describe('what a BMC accepts first and does later', () => {
  test.each(['done', 'monitor goes'] as const)('is waited for (its task: %s)', async (tasks) => {
    const { bmc, power, management, task } = await setUpRedfish({ tasks });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Pxe', bootEnabled: 'Once' });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.system()).toMatchObject({ power: 'On', boots: ['Pxe'] });
    expect(bmc.count('POST /redfish/v1/Systems/1/Actions')).toBe(1);
  });

  test('and does not do fails with what its task says', async () => {
    const { bmc, power, management, task } = await setUpRedfish({ tasks: 'failed' });
    expect((await failureOf(management.setBootDevice(task, 'pxe', false))).message).toMatch(/what it had accepted failed \(task \/redfish\/v1\/TaskService\/TaskMonitors\/1, Exception\): The front panel is locked\./);
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toContain('The front panel is locked.');
    expect(bmc.system()).toMatchObject({ power: 'Off', bootTarget: 'None' });
  });

  test('and refuses in the end fails with the refusal', async () => {
    const { bmc, power, task } = await setUpRedfish({ tasks: 'done', alreadyStatus: 400 });
    bmc.system().power = 'On';
    bmc.system().readsUntilSettled = 99;
    expect((await failureOf(power.setPowerState(task, 'power on', ENOUGH_MS))).message).toContain('The server is already in that state.');
  });

  test('is given up on when it takes for ever', async () => {
    const { power, management, task } = await setUpRedfish({ tasks: 'for ever' }, { taskTimeoutMs: 200 });
    expect((await failureOf(management.setBootDevice(task, 'pxe', false))).message).toMatch(/what it had accepted was not done within 0\.2 s/);
    expect((await failureOf(power.setPowerState(task, 'power on', 3_000))).message).toMatch(/did not reach "power on" within 3 s; the BMC reports "Off"/);
  });

  test('a soft power off whose task fails is reported, so that a hard one can follow', async () => {
    const { bmc, power, task } = await setUpRedfish({ tasks: 'failed' });
    bmc.system().power = 'On';
    expect(await power.softPowerOff(task, ENOUGH_MS)).toBe(false);
  });
});
