import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { descendantsOf } from '../../../rig/processes.ts';
import { until } from '../../../rig/until.ts';
import { ENOUGH_MS, releaseIpmi, releaseLater, setUpIpmi, setUpIpmiDrivers } from './ipmi-rig.ts';
import { failureOf } from './redfish-rig.ts';

afterEach(releaseIpmi);

const NODE_BUSY = 0xc0;

/** A UDP port at which somebody listens and never answers. */
async function silentPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  releaseLater(async () => void socket.close());
  return socket.address().port;
}

describe('an IPMI BMC with passing troubles', () => {
  test.each([
    ['it is busy', { command: '00 01', does: NODE_BUSY, times: 4 }],
    ['it has no session left', { command: '06 3a', does: 0x81, times: 3 }],
    ['it does not answer a while', { command: '06 38', does: 'silence', times: 2 }],
  ] as const)('is asked again when %s', async (_, fault) => {
    const { bmc, power, task } = await setUpIpmi();
    bmc.faults.push({ ...fault });
    expect(await power.getPowerState(task)).toBe('power off');
    expect(bmc.faults).toEqual([]);
  });

  test('is given up on after the time for it, with what it said and how often it was asked', async () => {
    const { bmc, power, task, runs } = await setUpIpmi({}, { commandRetryTimeoutMs: 800, retryPauseMs: 100, maxRetryPauseMs: 10_000 });
    bmc.faults.push({ command: '00 01', does: NODE_BUSY, times: 1_000 });
    const error = await failureOf(power.getPowerState(task));
    const tries = (await runs()).length;
    expect(error).toMatchObject({ code: 'OperationFailed', message: expect.stringMatching(/^BMC 127\.0\.0\.1:\d+, chassis power status: .*Node busy; the BMC is busy/) });
    expect(error.message).toContain(`(tried ${tries} times)`);
    expect(tries).toBeGreaterThan(1);
    expect(tries).toBeLessThan(8); // the pauses grow
  });

  test('may be busy during a power change, and gets its command again', async () => {
    const { bmc, power, task } = await setUpIpmi();
    bmc.faults.push({ command: '00 02', does: NODE_BUSY, times: 3 });
    await power.setPowerState(task, 'power on', ENOUGH_MS);
    expect(bmc.boots).toHaveLength(1);
  });
});

describe('an IPMI BMC that is not there', () => {
  test('is said not to answer, with what to check', async () => {
    const { power, task, runs } = await setUpIpmiDrivers({ ipmi_address: '127.0.0.1', ipmi_port: await silentPort(), ipmi_username: 'u', ipmi_password: 'of-the-bmc' }, { commandRetryTimeoutMs: 1 });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/Get Auth Capabilities error.*the BMC does not answer: check its network, ipmi_address and ipmi_port/);
    expect(await runs()).toHaveLength(1);
  });

  test('costs no more than the time for a command and the time to try again', async () => {
    const { power, task, runs } = await setUpIpmiDrivers({ ipmi_address: '127.0.0.1', ipmi_port: await silentPort() }, { commandTimeoutMs: 300, commandRetryTimeoutMs: 1_000, retryPauseMs: 50, maxRetryPauseMs: 50 });
    const error = await failureOf(power.getPowerState(task));
    expect(error.message).toMatch(/ipmitool did not end within 0\.3 s \(tried [2-4] times\)/);
    expect((await runs()).length).toBeLessThanOrEqual(4);
  });

  test('fails a power change when its time is over', async () => {
    const { power, task } = await setUpIpmiDrivers({ ipmi_address: '127.0.0.1', ipmi_port: await silentPort() });
    expect((await failureOf(power.setPowerState(task, 'power on', 400))).message).toMatch(/did not reach "power on" within 0\.4 s; the BMC did not answer/);
  });

  test('holds nobody up whose work is stopped', async () => {
    const stop = new AbortController();
    const { bmcs, power } = await setUpIpmiDrivers({});
    const task = makeTask({ driverInfo: { ipmi_address: '127.0.0.1', ipmi_port: await silentPort() } }, stop.signal);
    const asking = failureOf(power.getPowerState(task));
    const waiting = failureOf(bmcs.of(task).run(['chassis', 'power', 'off'], stop.signal));
    await until('ipmitool runs', async () => (await descendantsOf(process.pid)).length > 0);
    stop.abort();
    expect((await asking).message).toContain('was stopped');
    expect((await waiting).message).toContain('stopped before its turn');
    await until('ipmitool has ended', async () => (await descendantsOf(process.pid)).length === 0);
  });

  test('whose name nobody knows is said to be wrong at once', async () => {
    const { power, task, runs } = await setUpIpmiDrivers({ ipmi_address: 'no-such-host.invalid' });
    expect((await failureOf(power.getPowerState(task))).message).toMatch(/Address lookup for no-such-host\.invalid failed.*check ipmi_address/);
    expect(await runs()).toHaveLength(1);
  });
});

describe('an IPMI BMC of version 1.5 that refuses a login', () => {
  test.each([
    [{ ipmi_password: 'secret-1' }, /check ipmi_password/],
    [{ ipmi_username: 'nobody' }, /Invalid user name.*check ipmi_username/],
  ])('is asked once only, and the error says what to check: %j', async (wrong, message) => {
    const { bmc, power, task, runs } = await setUpIpmi();
    const error = await failureOf(power.getPowerState(makeTask({ driverInfo: { ...task.node.driverInfo, ...wrong } })));
    expect(error.message).toMatch(message);
    expect(JSON.stringify(error)).not.toContain('secret-1');
    expect(await runs()).toHaveLength(1);
    expect(bmc.sessionsMade).toBe(0);
  });
});

describe('one IPMI BMC', () => {
  test('never gets two commands at once, whoever asks', async () => {
    const { bmc, power, management, task } = await setUpIpmi({ readsUntilSettled: 2 });
    const another = makeTask({ driverInfo: { ...task.node.driverInfo, ipmi_priv_level: 'OPERATOR' } });
    await Promise.all([power.setPowerState(task, 'power on', ENOUGH_MS), power.getPowerState(another), management.setBootDevice(task, 'pxe', false), management.getBootDevice(another), power.getPowerState(task)]);
    expect(bmc.sessionsMade).toBeGreaterThan(7);
    expect(bmc.mostSessionsAtOnce).toBe(1);
  });

  test('gets its next command after a pause, counted from the end of the one before', async () => {
    const { bmc, power, task } = await setUpIpmi({}, { minCommandIntervalMs: 400 });
    await power.getPowerState(task);
    const endedAt = Date.now();
    await power.getPowerState(task);
    expect(Date.now() - endedAt).toBeGreaterThanOrEqual(399); // not a matter of speed: it cannot be less
    expect(bmc.sessionsMade).toBe(2);
  });
});

describe('what others on this host can see of a command', () => {
  test('is neither password nor Kg key', async () => {
    const stop = new AbortController();
    const secrets = { ipmi_password: 'seen-by-nobody', ipmi_hex_kg_key: '41'.repeat(20) };
    const { power } = await setUpIpmiDrivers({}, { program: 'ipmitool' });
    const asking = failureOf(power.getPowerState(makeTask({ driverInfo: { ipmi_address: '127.0.0.1', ipmi_port: await silentPort(), ipmi_username: 'u', ...secrets } }, stop.signal)));
    const seen = await until('ipmitool runs', async () => (await descendantsOf(process.pid)).find(({ args }) => args[0] === 'ipmitool'));
    const environment = await readFile(`/proc/${seen.pid}/environ`, 'utf8');
    stop.abort();
    await asking;
    expect(seen.args.join(' ')).not.toMatch(/seen-by-nobody|4141|AAAA/);
    expect(environment.split('\0')).toEqual(expect.arrayContaining(['IPMI_PASSWORD=seen-by-nobody', `IPMI_KGKEY=${'A'.repeat(20)}`])); // which only we can read
  });
});
