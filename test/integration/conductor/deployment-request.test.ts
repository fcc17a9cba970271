/** What a deployment's request promises around its checks, with a real conductor and simulated machines; images come from a server that the test holds. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { OperationView } from '../../../protocol/provision.ts';
import { ModelStage, type Actor } from '../../model/stage.ts';
import { faultString } from '../../rig/baremetal-api.ts';
import { until } from '../../rig/until.ts';

const TIMEOUT_MS = 120_000;
const DISK = { serial: 'DISK-1', wwn: '0x5000c500a0000001', size_bytes: 8 * 1024 ** 3 };
const IMAGE = randomBytes(1024 * 1024);

let stage: ModelStage;
let images: Server;
let imageUrl: string;
let machines = 0;
/** Requests for these methods stand still until they are released. */
let held: readonly string[] = [];
let waiting: (() => void)[] = [];
const release = (): void => {
  held = [];
  for (const answer of waiting.splice(0)) answer();
};

beforeAll(async () => {
  images = createServer((request, response) => {
    const answer = (): void => {
      response.writeHead(200, { 'content-length': IMAGE.length });
      response.end(request.method === 'HEAD' ? undefined : IMAGE);
    };
    if (held.includes(request.method ?? '')) waiting.push(answer);
    else answer();
  });
  images.listen(0, '127.0.0.1');
  await once(images, 'listening');
  imageUrl = `http://127.0.0.1:${(images.address() as AddressInfo).port}/image.raw`;
  stage = await ModelStage.start(3, { deploy: { fetch_attempts: 1, allowed_networks: ['127.0.0.0/8'] }, conductor: { callback_timeout_s: 3 } });
}, TIMEOUT_MS);
afterEach(release);
afterAll(async () => {
  await stage.close();
  images.closeAllConnections();
  images.close();
}, TIMEOUT_MS);

async function manageable(fields: Record<string, unknown> = {}): Promise<Actor> {
  const actor = await stage.enrol(machines++, { deploy_interface: 'direct', disk: DISK, ...fields });
  await stage.api.demand(actor.uuid, 'manage');
  await stage.api.settled(actor.uuid, 'manageable');
  return actor;
}
async function active(fields: Record<string, unknown> = {}): Promise<Actor> {
  const actor = await manageable(fields);
  await stage.api.demand(actor.uuid, 'adopt');
  await stage.api.settled(actor.uuid, 'active');
  return actor;
}
const nameImage = ({ uuid }: Actor): Promise<unknown> =>
  stage.api.expect(200, 'PATCH', `/v1/nodes/${uuid}`, [{ op: 'add', path: '/instance_info', value: { image_source: imageUrl, image_checksum: `sha256:${createHash('sha256').update(IMAGE).digest('hex')}`, image_disk_format: 'raw' } }]);

test('a deploy interface that writes nothing refuses an image, in the plan and for real', async () => {
  const { uuid, machine } = await active({ deploy_interface: 'fake' });
  const image = await stage.createImage(IMAGE, 'raw');
  const plan = await stage.api.provision(uuid, 'rebuild', { image_ref: image, dry_run: true });
  expect(plan.body['plan']).toMatchObject({ result: 'fail' });
  const refused = await stage.api.provision(uuid, 'rebuild', { image_ref: image });
  expect([refused.status, faultString(refused)]).toEqual([400, expect.stringContaining('writes no image')]);
  expect((await stage.api.provision(uuid, 'rebuild', { generalize: true })).status).toBe(400);
  expect(await stage.api.node(uuid)).toMatchObject({ provision_state: 'active', instance_info: {} });
  expect(machine.bootLog).toHaveLength(1);
}, TIMEOUT_MS);

test('a deploy after a rebuild that touched nothing is as careful with the running server as the rebuild was', async () => {
  const actor = await active();
  await nameImage(actor);
  held = ['GET'];
  await stage.api.demand(actor.uuid, 'rebuild');
  await until('the image is being fetched', () => Promise.resolve(waiting.length > 0));
  held = [];
  waiting = [];
  images.closeAllConnections();
  await stage.api.settled(actor.uuid, 'deploy failed');
  expect(actor.machine.runningFrom).toBe('disk');

  await stage.api.demand(actor.uuid, 'deploy'); // whose ramdisk never calls
  const failed = await stage.api.settled(actor.uuid, 'deploy failed');
  expect(failed.driver_internal_info['operation'] as OperationView).toMatchObject({ status: 'failed', disk_touched: false });
  await until('the server runs from its own disk', () => Promise.resolve(actor.machine.runningFrom === 'disk'));
}, TIMEOUT_MS);

test('what is changed while a request is being checked counts: nothing is lost, and maintenance refuses it', async () => {
  const actor = await manageable({ automated_clean: false });
  await stage.api.demand(actor.uuid, 'provide');
  await stage.api.settled(actor.uuid, 'available');
  await nameImage(actor);
  held = ['HEAD'];
  const requested = stage.api.provision(actor.uuid, 'deploy');
  await until('the request is being checked', () => Promise.resolve(waiting.length > 0));
  await stage.api.expect(200, 'PATCH', `/v1/nodes/${actor.uuid}`, [{ op: 'add', path: '/instance_info/root_device', value: { serial: 'DISK-2' } }]);
  await stage.api.expect(202, 'PUT', `/v1/nodes/${actor.uuid}/maintenance`, { reason: 'the disk is being replaced' });
  release();
  expect((await requested).status).toBe(400);
  expect(await stage.api.node(actor.uuid)).toMatchObject({ provision_state: 'available', maintenance: true, instance_info: { root_device: { serial: 'DISK-2' } } });
}, TIMEOUT_MS);
