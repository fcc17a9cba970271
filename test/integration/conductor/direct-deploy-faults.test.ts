/** What becomes of a server whose rebuild meets an agent that can not be spoken to, a ramdisk of before, a conductor that was away, a machine that does not obey. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ensureCertificate } from '../../../conductor/certificates.ts';
import type { OperationView } from '../../../protocol/provision.ts';
import { ConductorApi } from '../../../ramdisk-agent/conductor-api.ts';
import { noFaults } from '../../../simulator/faults.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import type { NodeView } from '../../rig/baremetal-api.ts';
import { until } from '../../rig/until.ts';

const TIMEOUT_MS = 120_000;
const WRITE_TIMEOUT_S = 20;
const DISK = { serial: 'DISK-1', size_bytes: 8 * 1024 ** 3 };
const HALF_WRITTEN = /The disk may hold a part of the image only and is not bootable: the server is switched off\. Deploy or rebuild it again\.$/;

let directory: string;
let stage: ModelStage;
let image: string;
let used = 0;
const servers: Server[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-deploy-faults-'));
  stage = await ModelStage.start(8, {
    deploy: { write_timeout_s: WRITE_TIMEOUT_S, stall_timeout_s: 600, allowed_networks: ['127.0.0.0/8'] },
    snapshot: { poll_interval_s: 3600 },
    conductor: { callback_timeout_s: 15, agent_timeout_s: 2, check_interval_s: 0.2 },
  });
  image = await stage.createImage(randomBytes(1024 * 1024), 'raw');
}, TIMEOUT_MS);
afterAll(async () => {
  await stage?.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  await rm(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

const operationOf = (node: NodeView): OperationView => node.driver_internal_info['operation'] as OperationView;
const addressOf = (index: number): string => `52:54:00:4d:54:${index.toString(16).padStart(2, '0')}`;

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function active(): Promise<Actor & { address: string }> {
  const address = addressOf(used);
  const actor = await stage.enrol(used++, { deploy_interface: 'direct', disk: DISK, automated_clean: false });
  await walk(actor, ['manage', 'manageable'], ['adopt', 'active']);
  return { ...actor, address };
}

async function walk(actor: Actor, ...steps: [string, string][]): Promise<void> {
  for (const [verb, state] of steps) {
    await stage.api.demand(actor.uuid, verb);
    await stage.api.settled(actor.uuid, state);
  }
}

const inPhase = (actor: Actor, phase: string): Promise<NodeView> =>
  until(`${actor.uuid} is in phase ${phase}`, async () => {
    const node = await stage.api.node(actor.uuid);
    return operationOf(node)?.phase === phase && node.reservation === null ? node : null;
  });

async function rebuildTo(actor: Actor, phase: 'await ramdisk' | 'running'): Promise<void> {
  await stage.api.demand(actor.uuid, 'rebuild', { image_ref: image });
  await inPhase(actor, 'await ramdisk');
  if (phase === 'await ramdisk') return;
  await actor.agent.call();
  await inPhase(actor, 'running');
}

const failed = (actor: Actor): Promise<NodeView> => stage.api.settled(actor.uuid, 'deploy failed');
const ramdiskApi = async (): Promise<ConductorApi> => new ConductorApi({ url: stage.conductor.provisioningUrl, ca: await readFile(stage.conductor.certificateFile, 'utf8'), insecure: false });

describe('an agent that can not be spoken to has not got the command: the server runs as before', () => {
  /** A ramdisk that gives this address and this certificate. */
  async function rebuildWith(port: number, certificate: string): Promise<void> {
    const actor = await active();
    await rebuildTo(actor, 'await ramdisk');
    const api = await ramdiskApi();
    const signal = AbortSignal.timeout(30_000);
    const { config } = await api.lookup([actor.address], undefined, signal);
    await api.heartbeat(actor.uuid, { callbackUrl: `https://127.0.0.1:${port}`, agentVersion: 'x', agentToken: String(config.agent_token), certificate }, signal);
    const node = await failed(actor);
    expect(node.last_error).toMatch(/The disk was not touched\. The server runs from it as before\.$/);
    expect(operationOf(node)).toMatchObject({ phase: 'command', disk_touched: false });
    expect(node.power_state).toBe('power on');
    expect(actor.machine.runningFrom).toBe('disk');
  }

  test('because nobody answers at its address', async () => {
    const { cert } = await ensureCertificate(directory, 'silent', ['127.0.0.1']);
    await rebuildWith(await listen(createServer()), cert);
  }, TIMEOUT_MS);

  test('because it shows another certificate than at its heartbeat', async () => {
    const shown = await ensureCertificate(directory, 'shown', ['127.0.0.1']);
    const { cert } = await ensureCertificate(directory, 'given', ['127.0.0.1']);
    await rebuildWith(await listen(createHttpsServer(shown, (_request, response) => response.end())), cert);
  }, TIMEOUT_MS);
});

test('a ramdisk that calls while the image is fetched is not taken for the one that is booted next, which gets its own token', async () => {
  const actor = await active();
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let asked = false;
  const bytes = randomBytes(64 * 1024);
  const port = await listen(
    createHttpServer((request, response) => {
      response.writeHead(200, { 'Content-Length': bytes.length });
      if (request.method === 'HEAD') return void response.end();
      asked = true;
      void held.then(() => response.end(bytes));
    }),
  );
  const source = { image_source: `http://127.0.0.1:${port}/image.raw`, image_checksum: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
  await stage.api.expect(200, 'PATCH', `/v1/nodes/${actor.uuid}`, [{ op: 'add', path: '/instance_info', value: source }]);
  await stage.api.demand(actor.uuid, 'rebuild');
  await until('the image is fetched', async () => asked);
  await actor.agent.call();
  release();
  await inPhase(actor, 'await ramdisk');
  await actor.agent.call(); // throws unless it is given a token
  await inPhase(actor, 'running');
  await actor.agent.endCommand();
  expect(await stage.api.settled(actor.uuid, 'active')).toMatchObject({ last_error: null });
}, TIMEOUT_MS);

test('a deployment that was complete when its deadline passed unseen is complete', async () => {
  const actor = await active();
  actor.agent.isMute = true;
  await rebuildTo(actor, 'running');
  const dueAt = Date.now() + WRITE_TIMEOUT_S * 1_000;
  await actor.agent.endCommand();
  await stage.conductor.process.stop();
  await until('the deadline has passed', async () => Date.now() > dueAt, 60_000);
  await stage.conductor.restart();
  const node = await until('the end', async () => {
    const node = await stage.api.node(actor.uuid);
    return ['active', 'deploy failed'].includes(node.provision_state) && node.reservation === null ? node : null;
  });
  expect(node).toMatchObject({ provision_state: 'active', last_error: null });
  expect(operationOf(node)).toMatchObject({ status: 'done', report: expect.anything() });
  expect(actor.machine.runningFrom).toBe('disk');
}, TIMEOUT_MS);

test('a deployment that is not complete when its deadline passes fails', async () => {
  const actor = await active();
  await rebuildTo(actor, 'running');
  expect((await failed(actor)).last_error).toMatch(new RegExp(`rebuild did not end within ${WRITE_TIMEOUT_S} s \\(deploy\\.write_timeout_s\\)`));
}, TIMEOUT_MS);

test('a disk that an attempt left half-written stays so through an attempt that never touches it, until it is written or the instance ends', async () => {
  const actor = await active();
  await rebuildTo(actor, 'running');
  await actor.agent.failCommand('the connection broke', true);
  expect((await failed(actor)).last_error).toMatch(HALF_WRITTEN);
  await stage.api.expect(202, 'PUT', `/v1/nodes/${actor.uuid}/states/power`, { target: 'power on' });
  await until('the server is on', async () => actor.machine.powerState === 'On' && (await stage.api.node(actor.uuid)).reservation === null);
  actor.agent.refusesCommand = true;
  await rebuildTo(actor, 'await ramdisk');
  await actor.agent.call();
  const node = await failed(actor);
  expect(node.last_error).toMatch(HALF_WRITTEN);
  expect(operationOf(node)).toMatchObject({ disk_touched: false });
  expect(actor.machine.powerState).toBe('Off');

  const broken = await stage.createImage(Buffer.from('QFI\xfb and nothing that follows', 'latin1'), 'qcow2');
  await stage.api.demand(actor.uuid, 'rebuild', { image_ref: broken });
  await until('the image was fetched', async () => operationOf(await stage.api.node(actor.uuid)).image_source === broken);
  expect((await failed(actor)).last_error).toMatch(/The server was not touched; its disk holds a part of the image of an earlier attempt and is not bootable\.$/);

  // another instance's disk is another matter: nobody knows what was done to it meanwhile
  await walk(actor, ['deleted', 'available'], ['manage', 'manageable'], ['adopt', 'active']);
  await stage.api.expect(202, 'PUT', `/v1/nodes/${actor.uuid}/states/power`, { target: 'power on' });
  await until('the server is on', async () => actor.machine.powerState === 'On' && (await stage.api.node(actor.uuid)).reservation === null);
  await rebuildTo(actor, 'await ramdisk');
  await actor.agent.call();
  expect((await failed(actor)).last_error).toMatch(/The disk was not touched\. The server runs from it as before\.$/);
  expect(actor.machine.runningFrom).toBe('disk');
}, TIMEOUT_MS);

test('last_error says that a server could not be booted back as long as that is so, and how it stands once it is', async () => {
  const actor = await active();
  await rebuildTo(actor, 'await ramdisk');
  actor.agent.refusesCommand = true;
  actor.machine.setFaults({ ...noFaults(), pxe_hangs: true, power_on: 'refused' });
  await actor.agent.call();
  expect((await failed(actor)).last_error).toMatch(/The disk was not touched\. The server could not be booted back from its own disk \(this is tried again by itself\): /);
  actor.machine.setFaults({ ...noFaults(), pxe_hangs: true });
  const back = await until('the server is back', async () => {
    const node = await stage.api.node(actor.uuid);
    return actor.machine.runningFrom === 'disk' && node.reservation === null && !node.last_error?.includes('tried again') ? node : null;
  });
  expect(back.last_error).toMatch(/no disk that may be written.* The disk was not touched\. The server runs from it as before\.$/s);
}, TIMEOUT_MS);
