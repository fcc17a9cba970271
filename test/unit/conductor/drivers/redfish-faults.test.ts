import { afterEach, describe, expect, test } from '@jest/globals';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { until } from '../../../rig/until.ts';
import { ENOUGH_MS, RESET, SYSTEM, failureOf, releaseRedfish, setUpRedfish } from './redfish-rig.ts';

afterEach(releaseRedfish);

describe('a BMC with passing troubles', () => {
  test.each([
    ['server errors', { does: { status: 500 }, times: 3 }],
    ['"unavailable", with a time to wait', { does: { status: 503, headers: { 'Retry-After': '0' } }, times: 3 }],
    ['"too many requests"', { does: { status: 429 }, times: 3 }],
    ['dropped connections', { does: 'drop', times: 3 }],
    ['an answer that is cut', { does: 'cut answer', times: 2 }],
  ] as const)('is asked again after %s', async (_, fault) => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, ...fault });
    expect(await power.getPowerState(task)).toBe('power off');
    expect(bmc.count('GET /redfish/v1/Systems')).toBe(1 + 1 + fault.times);
  });

  test('is given up on after the last try, with what it said in the error', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: { status: 500, body: { error: { '@Message.ExtendedInfo': [{ Message: 'Flash memory is worn out.', Resolution: 'Replace the BMC.' }] } } }, times: 99 });
    const error = await failureOf(power.getPowerState(task));
    expect(error.message).toContain('answered 500: Flash memory is worn out. Replace the BMC.');
    expect(bmc.count('GET /redfish/v1/Systems/1')).toBe(4);
  });

  test('sets the boot device although the first answer is lost and the tag has changed by then', async () => {
    const { bmc, management, task } = await setUpRedfish();
    bmc.faults.push({ method: 'PATCH', does: 'done, then drop' });
    await management.setBootDevice(task, 'pxe', false);
    expect(bmc.system()).toMatchObject({ bootTarget: 'Pxe', bootEnabled: 'Once' });
  });

  test('is looked at before a power command is sent again whose answer was lost', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'POST', path: RESET, does: 'done, then drop' });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.system().power).toBe('On');
    expect(bmc.count('POST /redfish/v1/Systems/1/Actions')).toBe(1);
  });

  test('gets a power command again that was lost on its way', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'POST', path: RESET, does: 'drop' }, { method: 'POST', path: RESET, does: { status: 500 } }, { method: 'POST', path: RESET, does: { status: 503 } });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.system().boots).toHaveLength(1);
  });

  test('may be away for a while during a power change', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: { status: 500 }, times: 11 });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.system().power).toBe('On');
  });
});

describe('a BMC that does not answer', () => {
  test('fails after the deadline of a request, said in the error', async () => {
    const { bmc, power, task } = await setUpRedfish({}, { requestTimeoutMs: 100, attempts: 2 });
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: 'hang', times: 99 });
    const error = await failureOf(power.getPowerState(task));
    expect(error.message).toMatch(/GET \/redfish\/v1\/Systems\/1: no answer within 0.1 s/);
    expect(bmc.count('GET /redfish/v1/Systems/1')).toBe(2);
  });

  test('does not hold up a power change beyond its time', async () => {
    const { bmc, power, task } = await setUpRedfish({}, { requestTimeoutMs: 60_000 });
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: 'hang', times: 99 });
    const error = await failureOf(power.setPowerState(task, 'power on', 200));
    expect(error.message).toMatch(/did not reach "power on" within 0.2 s; the BMC did not answer/);
  });

  test('is let go of at once when the work is stopped', async () => {
    const { bmc, power, task } = await setUpRedfish({}, { requestTimeoutMs: 60_000 });
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: 'hang', times: 99 });
    const stop = new AbortController();
    const asked = failureOf(power.getPowerState({ ...task, signal: stop.signal }));
    await until('the BMC is asked', () => bmc.count('GET /redfish/v1/Systems/1') > 0, ENOUGH_MS);
    const second = failureOf(power.getPowerState({ ...task, signal: stop.signal })); // still in the queue
    stop.abort(new Error('enough'));
    expect((await asked).cause).toMatchObject({ message: 'enough' });
    expect((await second).cause).toMatchObject({ message: 'enough' });
  });

  test('is named with the reason when nothing listens there', async () => {
    const gone = await setUpRedfish();
    const { driverInfo } = gone.bmc;
    await releaseRedfish();
    const { power } = await setUpRedfish();
    const error = await failureOf(power.getPowerState(makeTask({ driverInfo })));
    expect(error.message).toMatch(new RegExp(`BMC ${driverInfo['redfish_address']}, GET .*ECONNREFUSED`));
  });
});

describe('one BMC', () => {
  test('never gets two commands at once, whatever is asked of its systems', async () => {
    const { bmc, power, management } = await setUpRedfish({ systems: ['1', '2', '3'], readsUntilSettled: 2, answerDelayMs: 5 });
    const tasks = ['1', '2', '3'].map((id) => makeTask({ driverInfo: { ...bmc.driverInfo, redfish_system_id: `/redfish/v1/Systems/${id}` } }));
    await Promise.all(tasks.flatMap((each) => [power.setPowerState(each, 'power on', ENOUGH_MS), management.setBootDevice(each, 'disk', true), power.getPowerState(each)]));
    expect([...bmc.systems.values()].map((system) => system.power)).toEqual(['On', 'On', 'On']);
    expect(bmc.mostAtOnce).toBe(1);
  });

  test('with several systems asks which one is meant', async () => {
    const { power, task } = await setUpRedfish({ systems: ['a', 'b'] });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/has 2 systems: set driver_info.redfish_system_id to one of \/redfish\/v1\/Systems\/a, \/redfish\/v1\/Systems\/b/);
  });

  test('that redirects is not followed', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: { status: 307, headers: { Location: 'http://169.254.169.254/latest' } }, times: 9 });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/redirect \(307\) to http:\/\/169\.254\.169\.254\/latest, which is not followed/);
  });

  test('that links elsewhere is not followed', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: /Systems$/, does: { status: 200, body: { Members: [{ '@odata.id': '//evil.example/redfish' }] } } });
    expect((await failureOf(power.getPowerState(task))).message).toContain('no path of its own');
  });

  test('that is no Redfish service is told apart', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: { status: 200, headers: { 'Content-Type': 'text/html' } }, times: 9 });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/expected a JSON object, found "text\/html"; is this a Redfish service/);
  });

  test('that tells nonsense about its system fails with the field', async () => {
    const { bmc, power, task } = await setUpRedfish();
    bmc.faults.push({ method: 'GET', path: SYSTEM, does: { status: 200, body: { PowerState: 7 } } }, { method: 'GET', path: SYSTEM, does: { status: 200, body: {} } });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/expected a ComputerSystem of Redfish: PowerState/);
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/does not tell the power state/);
  });
});
