/** Rebuilds of a server whose disk was replaced, from an image server of a private authority, and with an agent that is never reached. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ensureCertificate } from '../../../conductor/certificates.ts';
import type { Plan } from '../../../protocol/plan.ts';
import type { OperationView } from '../../../protocol/provision.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import type { NodeView } from '../../rig/baremetal-api.ts';
import { until } from '../../rig/until.ts';

const TIMEOUT_MS = 120_000;
const IMAGE = randomBytes(1024 * 1024);
/** The machine's disk; to be replaced. */
const disk = { serial: 'OLD', wwn: null, size_bytes: 8 * 1024 ** 3 };

let directory: string;
let imageServer: Server;
let stage: ModelStage;
let actor: Actor;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-rebuild-'));
  const pair = await ensureCertificate(directory, 'images', ['127.0.0.1']);
  await writeFile(join(directory, 'authority.pem'), pair.cert);
  imageServer = createServer(pair, (_request, response) => response.writeHead(200, { 'Content-Length': IMAGE.length }).end(IMAGE)).listen(0, '127.0.0.1');
  await once(imageServer, 'listening');
  stage = await ModelStage.start(1, { deploy: { ca_file: join(directory, 'authority.pem'), allowed_networks: ['127.0.0.0/8'] }, conductor: { callback_timeout_s: 30 } });
  actor = await stage.enrol(0, { deploy_interface: 'direct', disk });
  for (const [verb, state] of [['manage', 'manageable'], ['adopt', 'active']] as const) {
    await stage.api.demand(actor.uuid, verb);
    await stage.api.settled(actor.uuid, state);
  }
  await patch('/instance_info', { image_source: `https://127.0.0.1:${(imageServer.address() as AddressInfo).port}/image.raw`, image_checksum: `sha256:${createHash('sha256').update(IMAGE).digest('hex')}` });
}, TIMEOUT_MS);
afterAll(async () => {
  await stage?.close();
  imageServer?.close();
  await rm(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

const patch = (path: string, value: unknown): Promise<unknown> => stage.api.expect(200, 'PATCH', `/v1/nodes/${actor.uuid}`, [{ op: 'add', path, value }]);
const operationOf = (node: NodeView): OperationView => node.driver_internal_info['operation'] as OperationView;
async function rebuildUntilCalled(): Promise<void> {
  await stage.api.demand(actor.uuid, 'rebuild');
  await until('the ramdisk is awaited', async () => {
    const node = await stage.api.node(actor.uuid);
    return operationOf(node).phase === 'await ramdisk' && node.reservation === null;
  });
  await actor.agent.call();
}
async function rebuild(): Promise<{ params: Record<string, unknown> | undefined; operation: OperationView }> {
  await rebuildUntilCalled();
  await until('the agent has its command', async () => operationOf(await stage.api.node(actor.uuid)).phase === 'running');
  await actor.agent.endCommand();
  return { operation: operationOf(await stage.api.settled(actor.uuid, 'active')), params: actor.agent.record.commands.at(-1)?.params };
}

test('an image is fetched from an https server that deploy.ca_file vouches for; the disk that it goes to is recorded', async () => {
  expect(await rebuild()).toMatchObject({ operation: { status: 'done', disk: { serial: 'OLD' } } });
  expect((await rebuild()).params).toMatchObject({ recorded_disk: { serial: 'OLD' } });
}, TIMEOUT_MS);

test('a disk that was replaced is written once its serial number is given as a hint, and is the recorded one from then on', async () => {
  disk.serial = 'NEW';
  await patch('/instance_info/root_device', { serial: 'new' });
  const { plan } = (await stage.api.expect(200, 'PUT', `/v1/nodes/${actor.uuid}/states/provision`, { target: 'rebuild', dry_run: true })) as unknown as { plan: Plan };
  expect(plan.checks.find(({ name }) => name === 'target_disk')).toMatchObject({ result: 'warn', message: expect.stringContaining('replaced the recorded one (serial OLD)') });
  const { params, operation } = await rebuild();
  expect(params).toMatchObject({ root_device: { serial: 'new' } });
  expect(params).not.toHaveProperty('recorded_disk');
  expect(operation).toMatchObject({ status: 'done', disk: { serial: 'NEW' } });
  expect((await rebuild()).params).toMatchObject({ root_device: { serial: 'new' }, recorded_disk: { serial: 'NEW' } });
}, TIMEOUT_MS);

test('an agent that can not be connected to has certainly written nothing: the server runs as before', async () => {
  actor.agent.isDeaf = true;
  await rebuildUntilCalled();
  const node = await stage.api.settled(actor.uuid, 'deploy failed');
  expect(node.last_error).toMatch(/ECONNREFUSED.* The disk was not touched\. The server runs from it as before\.$/);
  expect(operationOf(node)).toMatchObject({ status: 'failed', phase: 'command', disk_touched: false });
  expect(actor.machine.runningFrom).toBe('disk');
}, TIMEOUT_MS);
