import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import type { NodeView } from '../../rig/baremetal-api.ts';
import { freePort } from '../../rig/free-port.ts';
import { until } from '../../rig/until.ts';
import { RamdiskStage } from '../../unit/conductor/netboot/ramdisk-stage.ts';

const TIMEOUT_MS = 180_000;
/** One machine is silent for so long; the others are heard of before. */
const CALLBACK_TIMEOUT_S = 20;
const NONCE = /metalshot-boot-nonce=(\S+)/;

let ramdisk: RamdiskStage;
let stage: ModelStage;
let bootUrl: string;
let used = 0;
beforeAll(async () => {
  ramdisk = await RamdiskStage.make();
  const port = await freePort();
  bootUrl = `http://127.0.0.1:${port}`;
  stage = await ModelStage.start(6, { '': { boot: { port, ramdisk_directory: ramdisk.directory } }, conductor: { callback_timeout_s: CALLBACK_TIMEOUT_S, power_timeout_s: 30 } });
}, TIMEOUT_MS);
afterAll(async () => {
  await stage?.close();
  await ramdisk?.remove();
}, TIMEOUT_MS);

/** An active node that boots by iPXE; its server runs from its own disk. */
async function active(): Promise<Actor & { index: number }> {
  const index = used;
  used += 1;
  const actor = await stage.enrol(index, { boot_interface: 'ipxe' });
  await stage.api.demand(actor.uuid, 'manage');
  await stage.api.settled(actor.uuid, 'manageable');
  await stage.api.demand(actor.uuid, 'adopt');
  await stage.api.settled(actor.uuid, 'active');
  return { ...actor, index };
}

const snapshot = async (actor: Actor): Promise<void> => stage.api.demand(actor.uuid, 'snapshot', { image_ref: await stage.createHolder() });

/** What the machine's iPXE gets when it asks for its script. */
async function fetchScript({ index }: { index: number }): Promise<string> {
  const reply = await createHttpClient({ baseURL: bootUrl, timeoutMs: 10_000 }).get<string>(`/mac-52-54-00-4d-54-${index.toString(16).padStart(2, '0')}.ipxe`);
  expect(reply.status).toBe(200);
  return reply.data;
}

const boots = ({ machine }: Actor): string[] => machine.bootLog.map(({ target }) => target);
const backOnDisk = (actor: Actor): Promise<NodeView> =>
  until('the server is back', async () => {
    const node = await stage.api.node(actor.uuid);
    return node.driver_internal_info.snapshot?.boot_back === 'done' && node.reservation === null ? node : null;
  });
const historyOf = async ({ uuid }: Actor): Promise<string[]> => ((await stage.api.expect(200, 'GET', `/v1/nodes/${uuid}/history?detail=true`))['history'] as { event: string }[]).map(({ event }) => event);

describe('a snapshot of a machine that boots from the network', () => {
  test('goes to the ramdisk that brings what the machine was handed out, and to no other; its own disk follows for good', async () => {
    const actor = await active();
    expect(await fetchScript(actor)).toContain('sanboot'); // nobody expects it yet
    await snapshot(actor);
    await stage.api.phase(actor.uuid, 'await ramdisk');
    await expect(actor.agent.call()).rejects.toThrow('404'); // nothing was handed out yet
    const script = await fetchScript(actor);
    const nonce = NONCE.exec(script)?.[1];
    expect(nonce).toBeDefined();
    expect(await fetchScript(actor)).not.toMatch(NONCE);
    await expect(actor.agent.call()).rejects.toThrow('404');
    actor.agent.bootNonce = 'guessed';
    await expect(actor.agent.call()).rejects.toThrow('404');
    actor.agent.bootNonce = nonce;
    await actor.agent.call();
    await stage.api.phase(actor.uuid, 'streaming');
    expect(actor.machine.bootOverride).toMatchObject({ target: 'Hdd' });
    await actor.agent.endCapture();
    await stage.api.settled(actor.uuid, 'active');
    expect(boots(actor)).toEqual(['Hdd', 'Pxe', 'Hdd']);
    expect(await fetchScript(actor)).not.toMatch(NONCE);
    expect(await historyOf(actor)).toEqual(expect.arrayContaining([expect.stringContaining('Alarm: a machine looked itself up as this node')]));
  }, TIMEOUT_MS);

  test('fails when a second machine looks itself up in the same boot, although the first has streamed all', async () => {
    const actor = await active();
    await snapshot(actor);
    await stage.api.phase(actor.uuid, 'await ramdisk');
    actor.agent.bootNonce = NONCE.exec(await fetchScript(actor))?.[1];
    await actor.agent.call();
    await stage.api.phase(actor.uuid, 'streaming');
    await expect(actor.agent.call()).rejects.toThrow('404'); // with the same nonce
    const node = await stage.api.settled(actor.uuid, 'snapshot failed');
    expect(node.last_error).toContain('A second machine (127.0.0.1) looked itself up as this node within one boot');
    await backOnDisk(actor);
    expect(boots(actor)).toEqual(['Hdd', 'Pxe', 'Hdd']);
    await stage.api.demand(actor.uuid, 'abort');
    await stage.api.settled(actor.uuid, 'active');
  }, TIMEOUT_MS);

  test('whose ramdisk never calls fails in time, with the server and its boot device back; a network boot that comes later gets the own disk', async () => {
    const actor = await active();
    actor.machine.bootOverride.apply({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' }, actor.machine.faults);
    await snapshot(actor);
    const node = await stage.api.settled(actor.uuid, 'snapshot failed');
    expect(node.last_error).toContain(`did not call back within ${CALLBACK_TIMEOUT_S} s`);
    await backOnDisk(actor);
    expect(boots(actor)).toEqual(['Hdd', 'Pxe', 'Hdd']);
    expect(actor.machine.bootOverride).toMatchObject({ target: 'Pxe', enabled: 'Continuous' });
    const script = await fetchScript(actor);
    expect(script).toContain('sanboot');
    expect(script).not.toMatch(NONCE);
  }, TIMEOUT_MS);

  test.each(['power on', 'boot device back'])('is forgotten by a conductor that died as "%s" began: the server is back, and no ramdisk is handed out any more', async (phase) => {
    const actor = await active();
    await stage.conductor.process.stop();
    await stage.conductor.restart({ dieAtPhase: phase });
    await snapshot(actor);
    if (phase === 'boot device back') {
      await stage.api.phase(actor.uuid, 'await ramdisk');
      actor.agent.bootNonce = NONCE.exec(await fetchScript(actor))?.[1];
      await actor.agent.call();
    }
    await until('the conductor is dead', () => !stage.conductor.process.running);
    await stage.conductor.restart();
    await stage.api.settled(actor.uuid, 'snapshot failed');
    await backOnDisk(actor);
    expect(boots(actor).at(-1)).toBe('Hdd');
    expect(await fetchScript(actor)).not.toMatch(NONCE);
  }, TIMEOUT_MS);
});

test('an agent that is to be called back elsewhere than where it calls from is refused', async () => {
  const actor = await active();
  await snapshot(actor);
  await stage.api.phase(actor.uuid, 'await ramdisk');
  actor.agent.bootNonce = NONCE.exec(await fetchScript(actor))?.[1];
  actor.agent.callbackHost = '192.0.2.7';
  await expect(actor.agent.call()).rejects.toThrow('expected the address that the heartbeat came from (127.0.0.1)');
  await stage.api.settled(actor.uuid, 'snapshot failed');
  await backOnDisk(actor);
}, TIMEOUT_MS);
