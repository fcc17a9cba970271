import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '../../../protocol/log.ts';
import { ConductorApi } from '../../../ramdisk-agent/conductor-api.ts';
import { Heartbeat, type HeartbeatOptions } from '../../../ramdisk-agent/heartbeat.ts';
import { recallRegistration, registerAtConductor, type LookupOptions, type Registration } from '../../../ramdisk-agent/lookup.ts';
import { BootMemory } from '../../../ramdisk-agent/boot-memory.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';
import { until } from '../../rig/until.ts';
import { join } from 'node:path';
import { ConductorDouble } from './conductor-double.ts';

const log = createLogger('agent', 'silent');
const never = new AbortController().signal;
const FACTS = { callbackUrl: 'https://192.0.2.7:9999', agentVersion: '0.1.0', agentToken: 'token', certificate: 'PEM' };

let directory: string;
let conductor: ConductorDouble;
let api: ConductorApi;
let heartbeat: Heartbeat | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-contact-'));
  conductor = await ConductorDouble.start();
  api = new ConductorApi({ url: `${conductor.url}/`, insecure: false });
});
afterEach(async () => {
  await heartbeat?.stop();
  heartbeat = undefined;
  await conductor.close();
  await rm(directory, { recursive: true, force: true });
});

const memoryOf = (boot: string, name = 'run'): BootMemory => new BootMemory(new RunDirectory(join(directory, name)), boot);
const register = (options: Partial<LookupOptions> = {}): Promise<Registration> =>
  registerAtConductor({ api, memory: memoryOf('boot'), addresses: ['52:54:00:00:00:01', '52:54:00:00:00:02'], timeoutMs: 20_000, firstPauseMs: 10, signal: never, log, ...options });

describe('lookup', () => {
  test('asks with all addresses at the version that both sides speak, and gets node, interval and token', async () => {
    expect(await register({ nodeUuid: conductor.nodeUuid })).toEqual({ nodeUuid: conductor.nodeUuid, heartbeatTimeoutS: 300, agentToken: conductor.token });
    const seen = new URL(conductor.lookups[0]!.url, conductor.url);
    expect(Object.fromEntries(seen.searchParams)).toEqual({ addresses: '52:54:00:00:00:01,52:54:00:00:00:02', node_uuid: conductor.nodeUuid });
    expect(conductor.lookups[0]!.version).toBe('1.68');
  });

  test('is repeated until the conductor expects this machine', async () => {
    conductor.lookupFailures.push(404, 500, 503);
    expect(await register()).toMatchObject({ nodeUuid: conductor.nodeUuid });
    expect(conductor.lookups).toHaveLength(4);
  });

  test('ends with the last reason when the time is over', async () => {
    conductor.lookupFailures.push(...Array<number>(1_000).fill(404));
    await expect(register({ timeoutMs: 100 })).rejects.toThrow(/no lookup succeeded within 0\.1 s; the last one: the conductor expects no ramdisk with the addresses 52:54:00:00:00:01, 52:54:00:00:00:02/);
  });

  test('names a conductor that does not answer', async () => {
    const gone = new ConductorApi({ url: 'http://127.0.0.1:1', insecure: false });
    await expect(register({ api: gone, timeoutMs: 1 })).rejects.toThrow('the conductor does not answer: GET http://127.0.0.1:1/: ECONNREFUSED');
  });

  test.each([
    ['1.21', 'the conductor speaks 1.21, an agent needs at least 1.22'],
    ['v2', 'expected 1.N, found "v2"'],
  ])('tells when the version %s is of no use', async (version, problem) => {
    conductor.version = version;
    await expect(register({ timeoutMs: 1 })).rejects.toThrow(problem);
  });

  test('brings the nonce of the boot in a header, and nowhere else', async () => {
    const nonce = 'nonce-of-this-very-boot';
    api = new ConductorApi({ url: conductor.url, insecure: false, bootNonce: nonce });
    await register({ api });
    await api.heartbeat(conductor.nodeUuid, FACTS, never);
    expect(conductor.lookups).toMatchObject([{ bootNonce: nonce }]);
    expect(conductor.lookups[0]!.url).not.toContain(nonce);
    expect(conductor.heartbeats[0]!.bootNonce).toBeUndefined();
  });

  test('is not repeated in the same boot: a restarted agent knows its registration, that of another boot or of another node does not', async () => {
    const first = await register();
    expect(recallRegistration(memoryOf('boot'), undefined)).toEqual(first);
    expect(recallRegistration(memoryOf('boot'), conductor.nodeUuid)).toEqual(first);
    expect(recallRegistration(memoryOf('boot'), '00000000-0000-4000-8000-000000000000')).toBeNull();
    expect(recallRegistration(memoryOf('next boot'), undefined)).toBeNull();
  });

  test('an agent that never had the token says what to do', async () => {
    await register();
    await expect(register({ memory: memoryOf('next boot'), timeoutMs: 1 })).rejects.toThrow('has to be booted into the ramdisk anew');
  });

  test('a token that the agent was booted with is used when none is given', async () => {
    await register();
    const bootToken = 'a-token-from-the-kernel-command-line';
    expect(await register({ memory: memoryOf('next boot'), bootToken })).toMatchObject({ agentToken: bootToken });
  });

  test('ends at once when the agent is stopped', async () => {
    conductor.lookupFailures.push(...Array<number>(1_000).fill(404));
    const stop = new AbortController();
    const registering = register({ signal: stop.signal, firstPauseMs: 60_000 });
    await until('a lookup', () => conductor.lookups.length > 0);
    stop.abort(new Error('stopped'));
    await expect(registering).rejects.toThrow(/stopped|aborted/);
  });
});

describe('the heartbeat', () => {
  test.each([
    ['1.22', { callback_url: FACTS.callbackUrl }],
    ['1.36', { callback_url: FACTS.callbackUrl, agent_version: '0.1.0' }],
    ['1.62', { callback_url: FACTS.callbackUrl, agent_version: '0.1.0', agent_token: 'token' }],
    ['1.68', { callback_url: FACTS.callbackUrl, agent_version: '0.1.0', agent_token: 'token', agent_verify_ca: 'PEM' }],
    ['1.116', { callback_url: FACTS.callbackUrl, agent_version: '0.1.0', agent_token: 'token', agent_verify_ca: 'PEM' }],
  ])('has the fields that a conductor of %s knows', async (version, body) => {
    conductor.version = version;
    await api.heartbeat(conductor.nodeUuid, FACTS, never);
    expect(conductor.heartbeats).toMatchObject([{ method: 'POST', body }]);
    expect(Object.keys(conductor.heartbeats[0]!.body)).toEqual(Object.keys(body));
  });

  const beat = (options: Partial<HeartbeatOptions> = {}): Heartbeat => {
    heartbeat = new Heartbeat({ send: (signal) => api.heartbeat(conductor.nodeUuid, FACTS, signal), timeoutS: 300, log, shortestGapMs: 20, firstRetryMs: 20, ...options });
    heartbeat.start();
    return heartbeat;
  };
  const beats = (count: number): Promise<boolean> => until(`${count} heartbeats`, () => conductor.heartbeats.length >= count);

  test('goes out at once, and then at intervals', async () => {
    beat({ timeoutS: 0.1 });
    await beats(4);
  });

  test('is sent at once when something has happened, long before the interval is over', async () => {
    const forced = beat();
    await beats(1);
    forced.force();
    await beats(2);
    forced.force();
    await beats(3);
  });

  test('forced many times goes out once, and not before the shortest gap', async () => {
    const forced = beat({ shortestGapMs: 300 });
    await beats(1);
    for (let times = 0; times < 10; times += 1) forced.force();
    await beats(2);
    expect(conductor.heartbeats[1]!.at - conductor.heartbeats[0]!.at).toBeGreaterThanOrEqual(290);
    forced.force();
    await beats(3);
    expect(conductor.heartbeats).toHaveLength(3);
  });

  test('that is refused or fails is tried again sooner, and goes on', async () => {
    conductor.heartbeatFailures.push(400, 503, 400);
    beat();
    await beats(4);
    expect(conductor.heartbeatFailures).toEqual([]);
  });
});
