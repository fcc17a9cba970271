import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { OperationPhase, OperationView } from '../../../protocol/provision.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import type { NodeView } from '../../rig/baremetal-api.ts';
import { until } from '../../rig/until.ts';

const FAILS_AND_COMES_BACK: OperationPhase[] = ['fetch image', 'quiesce', 'boot configuration', 'power on', 'await ramdisk', 'boot device back', 'command'];
const GOES_ON: OperationPhase[] = ['running', 'boot from disk'];
const TIMEOUT_MS = 120_000;

let stage: ModelStage;
let actor: Actor;
let image: string;

beforeAll(async () => {
  stage = await ModelStage.start(1, { conductor: { callback_timeout_s: 30 } });
  image = await stage.createImage(randomBytes(1024 * 1024), 'raw');
  actor = await stage.enrol(0, { deploy_interface: 'direct', disk: { serial: 'DISK-1', size_bytes: 8 * 1024 ** 3 } });
  for (const [verb, state] of [['manage', 'manageable'], ['adopt', 'active']] as const) {
    await stage.api.demand(actor.uuid, verb);
    await stage.api.settled(actor.uuid, state);
  }
}, TIMEOUT_MS);
afterAll(() => stage?.close(), TIMEOUT_MS);

const operationOf = (node: NodeView): OperationView => node.driver_internal_info['operation'] as OperationView;

async function restart(dieAtPhase?: string): Promise<void> {
  await stage.conductor.process.stop();
  await stage.conductor.restart(dieAtPhase === undefined ? {} : { dieAtPhase });
}

/** A rebuild whose conductor kills itself when the phase begins; then another one takes over. */
async function dieAt(phase: OperationPhase): Promise<void> {
  await restart(phase);
  await stage.api.demand(actor.uuid, 'rebuild', { image_ref: image });
  const dead = (): boolean => !stage.conductor.process.running;
  const reached = async (name: string): Promise<boolean> => {
    if (dead()) return true;
    const node = await stage.api.node(actor.uuid).catch(() => null); // it may die while it answers
    return node !== null && operationOf(node).phase === name && node.reservation === null;
  };
  await until('the ramdisk is awaited', () => reached('await ramdisk'));
  if (!dead()) await actor.agent.call();
  await until('the agent is at work', () => reached('running'));
  if (!dead()) await actor.agent.endCommand();
  await until('the conductor is dead', dead);
  await stage.conductor.restart();
}

const leftImages = (): Promise<string[]> => readdir(join(stage.conductor.directory, 'state', 'deploy-images'));

test.each(FAILS_AND_COMES_BACK)('killed in the phase "%s": the rebuild fails, the server runs from its disk as before', async (phase) => {
  await dieAt(phase);
  const node = await stage.api.settled(actor.uuid, 'deploy failed');
  expect(node.last_error).toContain(`(phase "${phase}"); this can't be resumed.`);
  expect(node.last_error).toMatch(['fetch image', 'quiesce'].includes(phase) ? /The server was not touched\.$/ : /The server runs from it as before\.$/);
  expect(operationOf(node)).toMatchObject({ status: 'failed', phase, disk_touched: false });
  expect(actor.machine.runningFrom).toBe('disk');
  expect(await leftImages()).toEqual([]);
}, TIMEOUT_MS);

test.each(GOES_ON)('killed in the phase "%s": the rebuild goes on', async (phase) => {
  await dieAt(phase);
  if (phase === 'running') {
    await until('the node waits for the agent', async () => (await stage.api.node(actor.uuid)).provision_state === 'wait call-back');
    await actor.agent.endCommand();
  }
  const node = await stage.api.settled(actor.uuid, 'active');
  expect(operationOf(node)).toMatchObject({ status: 'done' });
  expect(actor.machine.runningFrom).toBe('disk');
  expect(await leftImages()).toEqual([]);
}, TIMEOUT_MS);

test('killed while the agent writes: it goes on writing, and its end is seen', async () => {
  await stage.api.demand(actor.uuid, 'rebuild', { image_ref: image });
  await until('the ramdisk is awaited', async () => {
    const node = await stage.api.node(actor.uuid);
    return operationOf(node).phase === 'await ramdisk' && node.reservation === null;
  });
  await actor.agent.call();
  await until('the agent is at work', async () => operationOf(await stage.api.node(actor.uuid)).step === 'preparing');
  await stage.conductor.process.kill();
  await stage.conductor.restart();
  await actor.agent.endCommand();
  expect(operationOf(await stage.api.settled(actor.uuid, 'active'))).toMatchObject({ status: 'done', report: expect.anything() });
}, TIMEOUT_MS);

test('killed while a cleaning is about to wait: it fails, the server is off', async () => {
  await restart();
  await stage.api.demand(actor.uuid, 'deleted');
  await until('the ramdisk is awaited', async () => {
    const node = await stage.api.node(actor.uuid);
    return operationOf(node).kind === 'clean' && operationOf(node).phase === 'await ramdisk' && node.reservation === null;
  });
  await restart('boot device back');
  await actor.agent.call();
  await until('the conductor is dead', () => !stage.conductor.process.running);
  await stage.conductor.restart();
  const node = await stage.api.settled(actor.uuid, 'clean failed');
  expect(operationOf(node)).toMatchObject({ kind: 'clean', status: 'failed' });
  expect(actor.machine.powerState).toBe('Off');
}, TIMEOUT_MS);
