import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { buildDisk, type Disk } from '../../../demo/disk.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { runProgram } from '../../../protocol/program.ts';
import type { OperationView } from '../../../protocol/provision.ts';
import { expectServerAsBefore } from '../../rig/outcome.ts';
import { freePort } from '../../rig/free-port.ts';
import { processOf } from '../../rig/processes.ts';
import { GIB, Rig, type RigOptions } from '../../rig/rig.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';
import { fileData } from '../../rig/image-data.ts';

const MIB = 1024 ** 2;

interface Scene {
  rig: Rig;
  /** An active node. */
  node: string;
  /** An image of its disk. */
  image: string;
}

let rig: Rig | undefined;
let relay: TcpRelay | undefined;
let directory: string;
let original: Disk;
let originalImage: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-deployment-'));
  original = await buildDisk(directory, { sizeBytes: 4 * GIB, share: 0.05 });
  originalImage = join(directory, 'image.qcow2');
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', original.path, originalImage], { timeoutMs: 120_000 });
}, 180_000);
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  await rig?.close();
  await relay?.close();
  rig = relay = undefined;
}, 60_000);

async function copyDisk(): Promise<Disk> {
  const path = join(directory, 'server.img');
  await runProgram('cp', ['--sparse=always', original.path, path], { timeoutMs: 60_000 });
  return { ...original, path };
}

/** A server with a copy of the disk, and an image of it. */
async function setScene(options: RigOptions = {}): Promise<Scene> {
  rig = await Rig.start({ disks: [await copyDisk()], ...options });
  const node = await rig.enrol();
  return { rig, node, image: await uploadImage(rig) };
}

async function uploadImage(rig: Rig): Promise<string> {
  const id = await rig.createHolder({ name: 'gold', disk_format: 'qcow2', container_format: 'bare' });
  const client = new GlanceClient({ url: rig.conductor.imageUrl, token: noToken, timeoutMs: 30_000, log: createLogger('test', 'silent') });
  await client.upload(id, fileData(originalImage), (await stat(originalImage)).size, { signal: AbortSignal.timeout(60_000) });
  return id;
}

/** Machines reach the conductor over a wire that the test holds. */
async function setSceneWithWire(options: RigOptions = {}): Promise<Scene & { relay: TcpRelay }> {
  const port = await freePort();
  relay = await TcpRelay.to({ port });
  const url = `https://127.0.0.1:${relay.port}`;
  return { ...(await setScene({ ...options, config: { provisioning: { port, advertise_url: url }, ...options.config }, agent: { api_url: url } })), relay };
}

const operationOf = async ({ rig, node }: Scene): Promise<OperationView> => (await rig.api.node(node)).driver_internal_info['operation'] as OperationView;

/** Byte by byte, holes skipped. */
async function expectDiskAsItWas(path: string): Promise<void> {
  const { stdout } = await runProgram('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', original.path, path], { timeoutMs: 120_000, acceptedExitCodes: [0, 1] });
  expect(stdout).toContain('identical');
}

/** A machine whose disk was begun to be written must not boot what there is. */
async function expectHeadWiped(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(MIB), 0, MIB, 0);
    expect(buffer.equals(Buffer.alloc(MIB))).toBe(true);
  } finally {
    await file.close();
  }
}

async function expectNoImageLeft({ rig }: Scene): Promise<void> {
  expect(await readdir(join(rig.conductor.directory, 'state', 'deploy-images'))).toEqual([]);
}

async function expectRebuildSucceeds(scene: Scene): Promise<void> {
  await scene.rig.api.demand(scene.node, 'rebuild', { image_ref: scene.image });
  await scene.rig.api.settled(scene.node, 'active', 120_000);
  expect(await operationOf(scene)).toMatchObject({ status: 'done' });
  await expectServerAsBefore(scene.rig);
  await expectNoImageLeft(scene);
}

describe('a rebuild that fails before its disk is touched leaves the server running as before', () => {
  async function expectAsBefore(scene: Scene, reason: RegExp): Promise<void> {
    const failed = await scene.rig.api.settled(scene.node, 'deploy failed');
    expect(failed.last_error).toMatch(reason);
    expect(await operationOf(scene)).toMatchObject({ status: 'failed', disk_touched: false });
    await until('the server runs from its own disk', () => Promise.resolve(scene.rig.machine().runningFrom === 'disk'));
    await expectServerAsBefore(scene.rig);
    await expectNoImageLeft(scene);
    await expectDiskAsItWas(scene.rig.disks[0]!.path);
  }

  test('the data of the image are not what the image service says of them: the server is not even switched off', async () => {
    const scene = await setScene();
    const boots = scene.rig.machine().bootLog.length;
    const images = join(scene.rig.conductor.directory, 'state', 'images');
    const names = (await readdir(images, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    let damaged = 0;
    for (const entry of names) {
      const file = await open(join(entry.parentPath, entry.name), 'r+');
      if ((await file.stat()).size > 10 * MIB) {
        await file.write(Buffer.from('damage'), 0, 6, 9 * MIB);
        damaged += 1;
      }
      await file.close();
    }
    expect(damaged).toBe(1);
    await scene.rig.api.demand(scene.node, 'rebuild', { image_ref: scene.image });
    await expectAsBefore(scene, /sha512|digest/i);
    expect(scene.rig.machine().bootLog.length).toBe(boots);
  }, 180_000);

  test('the ramdisk never calls', async () => {
    const scene = await setScene({ config: { conductor: { callback_timeout_s: 3 } } });
    scene.rig.machine().setFaults({ pxe_hangs: true });
    await scene.rig.api.demand(scene.node, 'rebuild', { image_ref: scene.image });
    await expectAsBefore(scene, /did not call back/);
    scene.rig.machine().setFaults({ pxe_hangs: false });
    await expectRebuildSucceeds(scene);
  }, 180_000);

  test('the machine turns out to have another disk than the one recorded', async () => {
    const scene = await setScene();
    await scene.rig.api.expect(200, 'PATCH', `/v1/nodes/${scene.node}`, [{ op: 'add', path: '/instance_info/root_device', value: { serial: 'some-other-disk' } }]);
    const reply = await scene.rig.api.provision(scene.node, 'rebuild', { image_ref: scene.image });
    if (reply.status === 202) await expectAsBefore(scene, /some-other-disk|recorded|hint/);
    else expect([reply.status, JSON.stringify(reply.body)]).toEqual([400, expect.stringMatching(/some-other-disk/)]);
    await expectDiskAsItWas(scene.rig.disks[0]!.path);
  }, 180_000);
});

describe('a rebuild that fails while it writes', () => {
  async function holdHalfWritten(scene: Scene & { relay: TcpRelay }): Promise<void> {
    scene.relay.holdReplies(12 * MIB);
    await scene.rig.api.demand(scene.node, 'rebuild', { image_ref: scene.image });
    await until('the disk is half written', async () => {
      const view = await operationOf(scene);
      return view.phase === 'running' && view.disk_touched && (view.bytes_done ?? 0) > 0;
    });
  }
  async function expectFailedOff(scene: Scene, reason: RegExp): Promise<void> {
    const failed = await scene.rig.api.settled(scene.node, 'deploy failed');
    expect(failed.last_error).toMatch(reason);
    expect(failed.last_error).toMatch(/disk/);
    expect(await operationOf(scene)).toMatchObject({ status: 'failed', disk_touched: true });
    await until('the machine is off', () => Promise.resolve(scene.rig.machine().powerState === 'Off'));
    await expectHeadWiped(scene.rig.disks[0]!.path);
    await expectNoImageLeft(scene);
  }

  test('because the agent is killed: nothing bootable is left, the reason says so, and the next rebuild succeeds', async () => {
    const scene = await setSceneWithWire();
    await holdHalfWritten(scene);
    process.kill((await processOf('node', 'ramdisk-agent/main.js')).pid, 'SIGKILL');
    scene.relay.resume();
    await expectFailedOff(scene, /restarted|lost|know/);
    await expectRebuildSucceeds(scene);
  }, 180_000);

  test('because the machine loses its power: the same', async () => {
    const scene = await setSceneWithWire({ config: { deploy: { stall_timeout_s: 3 }, conductor: { agent_timeout_s: 1 } } });
    await holdHalfWritten(scene);
    scene.rig.machine().setFaults({ pxe_hangs: true });
    await scene.rig.machine().reset('ForceOff');
    scene.relay.resume();
    await expectFailedOff(scene, /stall|progress|reach|answer/);
    scene.rig.machine().setFaults({ pxe_hangs: false });
    await expectRebuildSucceeds(scene);
  }, 180_000);

  test('a connection that breaks is begun anew, and the rebuild succeeds', async () => {
    const scene = await setSceneWithWire();
    await holdHalfWritten(scene);
    scene.relay.cut();
    scene.relay.mend();
    await scene.rig.api.settled(scene.node, 'active', 120_000);
    expect(await operationOf(scene)).toMatchObject({ status: 'done' });
    await expectServerAsBefore(scene.rig);
  }, 180_000);

  test('because the node is undeployed meanwhile: it is cleaned and available, and nothing is left', async () => {
    const scene = await setSceneWithWire();
    await holdHalfWritten(scene);
    await scene.rig.api.demand(scene.node, 'deleted');
    scene.relay.resume();
    await scene.rig.api.settled(scene.node, 'available', 120_000);
    expect(await operationOf(scene)).toMatchObject({ kind: 'clean', status: 'done' });
    expect(scene.rig.machine().powerState).toBe('Off');
    await expectHeadWiped(scene.rig.disks[0]!.path);
    await expectNoImageLeft(scene);
  }, 180_000);

  test('a conductor that dies meanwhile finds the agent still writing, and the rebuild goes on', async () => {
    const scene = await setSceneWithWire();
    await holdHalfWritten(scene);
    await scene.rig.conductor.process.kill();
    await scene.rig.conductor.restart();
    scene.relay.resume();
    await scene.rig.api.settled(scene.node, 'active', 120_000);
    expect(await operationOf(scene)).toMatchObject({ status: 'done' });
    await expectServerAsBefore(scene.rig);
  }, 180_000);
});

describe('cleaning', () => {
  test('can be aborted while it waits for a ramdisk that does not come', async () => {
    rig = await Rig.start({ disks: [await copyDisk()] });
    const node = await rig.enrolManageable();
    rig.machine().setFaults({ pxe_hangs: true });
    await rig.api.demand(node, 'provide');
    await rig.api.settled(node, 'clean wait');
    await rig.api.demand(node, 'abort');
    expect((await rig.api.settled(node, 'clean failed')).last_error).toMatch(/abort/);
    await until('the machine is off', () => Promise.resolve(rig?.machine().powerState === 'Off'));
    expect(rig.machine().bootOverride).toBeDefined();
    rig.machine().setFaults({ pxe_hangs: false });
    await rig.api.demand(node, 'manage');
    await rig.api.settled(node, 'manageable');
    await rig.api.demand(node, 'provide');
    await rig.api.settled(node, 'available');
    await expectHeadWiped(rig.disks[0]!.path);
  }, 120_000);

  test('wipes no other disk than the one that is named', async () => {
    rig = await Rig.start({ disks: [await copyDisk()] });
    const node = await rig.enrolManageable();
    await rig.api.expect(200, 'PATCH', `/v1/nodes/${node}`, [{ op: 'add', path: '/properties/root_device', value: { serial: 'of another machine' } }]);
    await rig.api.demand(node, 'provide');
    expect((await rig.api.settled(node, 'clean failed')).last_error).toMatch(/of another machine/);
    await expectDiskAsItWas(rig.disks[0]!.path);
  }, 120_000);
});
