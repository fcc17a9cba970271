import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationView } from '../../../protocol/provision.ts';
import { imageStatus } from '../../model/scripted-deploy.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import { faultString, type NodeView } from '../../rig/baremetal-api.ts';
import { noFaults } from '../../../simulator/faults.ts';
import { until } from '../../rig/until.ts';

const TIMEOUT_MS = 120_000;
const DISK = { serial: 'DISK-1', wwn: '0x5000c500a0000001', size_bytes: 8 * 1024 ** 3 };
/** A raw image: a hole between two pieces of data. */
const IMAGE = Buffer.concat([randomBytes(512 * 1024), Buffer.alloc(1024 * 1024), randomBytes(512 * 1024)]);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let stage: ModelStage;
let used = 0;
let image: string;

beforeAll(async () => {
  stage = await ModelStage.start(12, { deploy: { stall_timeout_s: 4, fetch_attempts: 1 } });
  image = await stage.createImage(IMAGE, 'raw');
}, TIMEOUT_MS);
afterAll(() => stage?.close(), TIMEOUT_MS);

const operationOf = (node: NodeView): OperationView => node.driver_internal_info['operation'] as OperationView;
const imageDirectory = (): Promise<string[]> => readdir(join(stage.conductor.directory, 'state', 'deploy-images'));

/** A managed node of a machine that is on. */
async function manageable(fields: Parameters<ModelStage['enrol']>[1] = {}): Promise<Actor> {
  const actor = await stage.enrol(used, { deploy_interface: 'direct', disk: DISK, ...fields });
  used += 1;
  actor.machine.setFaults({ ...noFaults(), pxe_hangs: true });
  await stage.api.demand(actor.uuid, 'manage');
  await stage.api.settled(actor.uuid, 'manageable');
  return actor;
}

async function available(): Promise<Actor> {
  const actor = await manageable({ automated_clean: false });
  await stage.api.demand(actor.uuid, 'provide');
  await stage.api.settled(actor.uuid, 'available');
  return actor;
}

/** An adopted node whose server runs from its own disk. */
async function active(): Promise<Actor> {
  const actor = await manageable();
  await stage.api.demand(actor.uuid, 'adopt');
  await stage.api.settled(actor.uuid, 'active');
  return actor;
}

const phase = (actor: Actor, name: string): Promise<NodeView> =>
  until(`${actor.uuid} is in phase ${name}`, async () => {
    const node = await stage.api.node(actor.uuid);
    return operationOf(node)?.phase === name && node.reservation === null ? node : null;
  });

/** Until the agent has its command. */
async function toCommand(actor: Actor): Promise<void> {
  await phase(actor, 'await ramdisk');
  await actor.agent.call();
  await phase(actor, 'running');
}

const rebuild = async (actor: Actor): Promise<void> => stage.api.demand(actor.uuid, 'rebuild', { image_ref: image });

describe('an image is written', () => {
  test('to an available server: it runs from its own disk, active, and nothing of the work is left', async () => {
    const actor = await available();
    await stage.api.expect(200, 'PATCH', `/v1/nodes/${actor.uuid}`, [{ op: 'add', path: '/instance_info', value: { image_source: image, image_checksum: 'of another', root_device: { name: '/dev/sda' } } }]);
    await stage.api.demand(actor.uuid, 'active', { image_ref: image });
    await toCommand(actor);
    expect(actor.machine.bootLog.at(-1)?.target).toBe('Pxe');
    expect(await stage.api.node(actor.uuid)).toMatchObject({ provision_state: 'wait call-back', target_provision_state: 'active' });
    await actor.agent.endCommand();
    const node = await stage.api.settled(actor.uuid, 'active');

    expect(actor.agent.record.writtenSha256).toBe(sha256(IMAGE));
    expect(actor.agent.record.commands).toMatchObject([{ name: 'write_image', params: { root_device: { name: '/dev/sda' }, virtual_size_bytes: IMAGE.length, password: '******' } }]);
    expect(operationOf(node)).toMatchObject({ kind: 'deploy', status: 'done', phase: 'finished', error: null, image_source: image, disk: { serial: 'DISK-1' }, report: { backup_gpt: 'none' }, requested_by: 'anonymous' });
    expect(node).toMatchObject({ power_state: 'power on', last_error: null, instance_info: { image_source: image, root_device: { name: '/dev/sda' } } });
    expect(node['instance_info']).not.toHaveProperty('image_checksum');
    expect(actor.machine.runningFrom).toBe('disk');
    expect(await imageDirectory()).toEqual([]);
    const params = actor.agent.record.lastParams;
    expect(params && (await imageStatus(params))).toBe(401);
    expect(JSON.stringify(node)).not.toContain(params?.password);
    // again, as a rebuild without naming the image: onto the disk that is recorded by now
    await stage.api.demand(actor.uuid, 'rebuild');
    await toCommand(actor);
    await actor.agent.endCommand();
    await stage.api.settled(actor.uuid, 'active');
    expect(actor.agent.record.commands[1]?.params).toMatchObject({ recorded_disk: DISK });
    expect(operationOf(await stage.api.node(actor.uuid))).toMatchObject({ kind: 'rebuild', status: 'done', image_source: image });
  }, TIMEOUT_MS);

  test('to a server whose last rebuild failed', async () => {
    const actor = await active();
    await rebuild(actor);
    await toCommand(actor);
    await actor.agent.failCommand('the disk went away', true);
    await stage.api.settled(actor.uuid, 'deploy failed');
    await stage.api.demand(actor.uuid, 'active');
    await toCommand(actor);
    await actor.agent.endCommand();
    expect(await stage.api.settled(actor.uuid, 'active')).toMatchObject({ last_error: null });
    expect(actor.machine.runningFrom).toBe('disk');
  }, TIMEOUT_MS);
});

describe('a rebuild that fails', () => {
  let actor: Actor;
  beforeAll(async () => {
    actor = await active();
  }, TIMEOUT_MS);

  const failed = async (): Promise<NodeView> => {
    const node = await stage.api.settled(actor.uuid, 'deploy failed');
    expect(operationOf(node)).toMatchObject({ status: 'failed' });
    expect(await imageDirectory()).toEqual([]);
    return node;
  };

  test('before the disk is touched: the server runs as before', async () => {
    await rebuild(actor);
    await toCommand(actor);
    await actor.agent.failCommand('the disk is not the recorded one', false);
    const node = await failed();
    expect(node.last_error).toMatch(/could not write the image: the disk is not the recorded one\. The disk was not touched\. The server runs from it as before\.$/);
    expect(operationOf(node)).toMatchObject({ disk_touched: false });
    expect(actor.machine.runningFrom).toBe('disk');
    expect(node.power_state).toBe('power on');
  }, TIMEOUT_MS);

  test('because the ramdisk never calls: the server runs as before', async () => {
    await rebuild(actor);
    const node = await failed();
    expect(node.last_error).toMatch(/did not call back within 5 s.*The server runs from it as before\.$/);
    expect(actor.machine.runningFrom).toBe('disk');
  }, TIMEOUT_MS);

  test('because the agent refuses the command: the server runs as before', async () => {
    actor.agent.refusesCommand = true;
    await rebuild(actor);
    await phase(actor, 'await ramdisk');
    await actor.agent.call();
    expect((await failed()).last_error).toMatch(/no disk that may be written.*The server runs from it as before\.$/s);
    actor.agent.refusesCommand = false;
    expect(actor.machine.runningFrom).toBe('disk');
  }, TIMEOUT_MS);

  test('because the image is gone by the time it is fetched: the server was not even rebooted', async () => {
    const boots = actor.machine.bootLog.length;
    const gone = await stage.createImage(IMAGE, 'raw');
    await stage.deleteImage(gone);
    const refused = await stage.api.provision(actor.uuid, 'rebuild', { image_ref: gone });
    expect(refused.status).toBe(400);
    const broken = await stage.createImage(Buffer.from('QFI\xfb and nothing that follows', 'latin1'), 'qcow2');
    await stage.api.demand(actor.uuid, 'rebuild', { image_ref: broken });
    const node = await failed();
    expect(node.last_error).toMatch(/The server was not touched\.$/);
    expect(operationOf(node)).toMatchObject({ phase: 'fetch image', disk_touched: false });
    expect(actor.machine.bootLog).toHaveLength(boots);
    expect(actor.machine.runningFrom).toBe('disk');
  }, TIMEOUT_MS);

  test('once the disk is touched: the server is off, and it is said that the disk does not boot', async () => {
    await rebuild(actor);
    await toCommand(actor);
    await actor.agent.failCommand('the connection broke', true);
    const node = await failed();
    expect(node.last_error).toMatch(/the connection broke\. The disk may hold a part of the image only and is not bootable: the server is switched off\. Deploy or rebuild it again\.$/);
    expect(operationOf(node)).toMatchObject({ disk_touched: true });
    expect(actor.machine.powerState).toBe('Off');
    expect(node.power_state).toBe('power off');
  }, TIMEOUT_MS);

  test('with an agent that falls silent: what it may have done counts as done', async () => {
    await rebuild(actor);
    await toCommand(actor);
    await actor.agent.close();
    const node = await failed();
    expect(node.last_error).toMatch(/rebuild stalled: no progress for 4 s.*is not bootable/);
    expect(actor.machine.powerState).toBe('Off');
  }, TIMEOUT_MS);
});

describe('a deployment of an available server', () => {
  test('that fails leaves it off', async () => {
    const actor = await available();
    await stage.api.demand(actor.uuid, 'active', { image_ref: image });
    await toCommand(actor);
    await actor.agent.failCommand('no disk fits', false);
    const node = await stage.api.settled(actor.uuid, 'deploy failed');
    expect(node.last_error).toMatch(/no disk fits\. The disk was not touched\.$/);
    expect(actor.machine.powerState).toBe('Off');
  }, TIMEOUT_MS);

  test('that is deleted while the agent writes: the image is gone, the credential void, the disk cleaned', async () => {
    const actor = await available();
    await stage.api.expect(200, 'PATCH', `/v1/nodes/${actor.uuid}`, [{ op: 'replace', path: '/automated_clean', value: true }]);
    await stage.api.demand(actor.uuid, 'active', { image_ref: image });
    await toCommand(actor);
    await stage.api.demand(actor.uuid, 'deleted');
    await until('the deployment has failed', async () => operationOf(await stage.api.node(actor.uuid))?.kind === 'clean');
    expect(await imageDirectory()).toEqual([]);
    await toCommand(actor);
    await actor.agent.endCommand();
    expect(await stage.api.settled(actor.uuid, 'available')).toMatchObject({ instance_info: {}, power_state: 'power off' });
    expect(actor.agent.record.commands.map(({ name }) => name)).toEqual(['write_image', 'erase_devices_metadata']);
  }, TIMEOUT_MS);
});

describe('cleaning', () => {
  test('goes through the ramdisk and ends with the server off', async () => {
    const actor = await manageable();
    await stage.api.demand(actor.uuid, 'provide');
    await toCommand(actor);
    expect(await stage.api.node(actor.uuid)).toMatchObject({ provision_state: 'clean wait', target_provision_state: 'available' });
    await actor.agent.endCommand();
    const node = await stage.api.settled(actor.uuid, 'available');
    expect(operationOf(node)).toMatchObject({ kind: 'clean', status: 'done', disk: { serial: 'DISK-1' }, report: { wiped: ['gpt'] }, image_source: null });
    expect(actor.machine.powerState).toBe('Off');
    expect(node.power_state).toBe('power off');
  }, TIMEOUT_MS);

  test('by hand is bound for manageable, and can be aborted', async () => {
    const actor = await manageable();
    const steps = { clean_steps: [{ interface: 'deploy', step: 'erase_devices_metadata' }] };
    await stage.api.demand(actor.uuid, 'clean', steps);
    await toCommand(actor);
    expect(await stage.api.node(actor.uuid)).toMatchObject({ provision_state: 'clean wait', target_provision_state: 'manageable' });
    await stage.api.demand(actor.uuid, 'abort');
    const node = await stage.api.settled(actor.uuid, 'clean failed');
    expect(node).toMatchObject({ target_provision_state: 'manageable', last_error: expect.stringMatching(/aborted/) });
    expect(operationOf(node)).toMatchObject({ status: 'failed' });
    expect(actor.machine.powerState).toBe('Off');

    await stage.api.demand(actor.uuid, 'manage');
    await stage.api.settled(actor.uuid, 'manageable');
    await stage.api.demand(actor.uuid, 'clean', steps);
    await toCommand(actor);
    await actor.agent.endCommand();
    await stage.api.settled(actor.uuid, 'manageable');
    const unknown = await stage.api.provision(actor.uuid, 'clean', { clean_steps: [{ interface: 'deploy', step: 'erase_devices' }] });
    expect([unknown.status, faultString(unknown)]).toEqual([400, expect.stringContaining('it knows deploy.erase_devices_metadata')]);
  }, TIMEOUT_MS);
});

describe('a request is refused before anything is touched', () => {
  test.each([
    ['no image', {}, /names no image to deploy/],
    ['an image that is no UUID', { image_ref: 'x' }, /image_ref: expected the UUID/],
    ['deploy steps', { image_ref: 'IMAGE', deploy_steps: [{ interface: 'deploy', step: 'x', args: {}, priority: 1 }] }, /deploy_steps/],
    ['a config drive', { image_ref: 'IMAGE', configdrive: { meta_data: { a: 1 } } }, /configdrive: the deploy interface "direct" writes none/],
    ['a name that no host can have', { image_ref: 'IMAGE', generalize: { hostname: '-' } }, /generalize.hostname/],
    ['an image that is too large for the disk', { image_ref: 'LARGE' }, /disk_size: .*too small/],
  ])('with %s', async (_name, body, message) => {
    const actor = await refusing();
    const named = { IMAGE: image, LARGE: large } as Record<string, string>;
    const request = Object.fromEntries(Object.entries(body).map(([key, value]) => [key, typeof value === 'string' ? (named[value] ?? value) : value]));
    const reply = await stage.api.provision(actor.uuid, 'rebuild', request);
    expect([reply.status, faultString(reply)]).toEqual([400, expect.stringMatching(message)]);
    expect(await stage.api.node(actor.uuid)).toMatchObject({ provision_state: 'active', reservation: null });
  }, TIMEOUT_MS);

  let shared: Promise<Actor> | undefined;
  let large: string;
  /** An active node whose machine was looked at once. */
  const refusing = (): Promise<Actor> =>
    (shared ??= (async () => {
      const actor = await manageable();
      await stage.api.demand(actor.uuid, 'clean', { clean_steps: [{ interface: 'deploy', step: 'erase_devices_metadata' }] });
      await toCommand(actor);
      await actor.agent.endCommand();
      await stage.api.settled(actor.uuid, 'manageable');
      await stage.api.demand(actor.uuid, 'adopt');
      await stage.api.settled(actor.uuid, 'active');
      large = await stage.createEmptyImage(16 * 1024 ** 3);
      return actor;
    })());
});

describe('nodes of hardware in memory', () => {
  test('have no power state until somebody asks for one, and take a config drive', async () => {
    const { uuid } = (await stage.api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware' })) as { uuid: string };
    for (const [verb, state] of [['manage', 'manageable'], ['provide', 'available']] as const) {
      await stage.api.demand(uuid, verb);
      expect(await stage.api.settled(uuid, state)).toMatchObject({ power_state: null });
    }
    await stage.api.demand(uuid, 'active', { configdrive: { meta_data: { a: 1 } } });
    expect(await stage.api.settled(uuid, 'active')).toMatchObject({ instance_info: { configdrive: expect.anything() } });
    expect(operationOf(await stage.api.node(uuid))).toMatchObject({ kind: 'deploy', status: 'done' });
  });
});
