/** What answers where, and to whom. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxiosInstance, AxiosResponse } from 'axios';
import bcrypt from 'bcryptjs';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { VERSION_HEADER } from '../../../protocol/microversion.ts';
import { BaremetalApi } from '../../rig/baremetal-api.ts';
import { ConductorProcess, type ConductorOptions } from '../../rig/conductor-process.ts';

const MAC = '52:54:00:00:00:01';
const VERSION = { [VERSION_HEADER]: '1.116' };

let directory: string;
const makeDirectory = async (): Promise<void> => void (directory = await mkdtemp(join(tmpdir(), 'listeners-')));
const removeDirectory = (): Promise<void> => rm(directory, { recursive: true, force: true });

async function startConductor(options: ConductorOptions = {}): Promise<ConductorProcess> {
  await makeDirectory();
  return ConductorProcess.start(directory, options).catch(async (error: unknown) => {
    await removeDirectory();
    throw error;
  });
}

/** Of Ironic's error document. */
const inner = (reply: AxiosResponse): Record<string, unknown> => JSON.parse((reply.data as { error_message: string }).error_message) as Record<string, unknown>;

describe('the provisioning listener', () => {
  let conductor: ConductorProcess;
  let api: BaremetalApi;
  /** As a machine does: with the listener's own certificate pinned. */
  let machine: AxiosInstance;
  beforeAll(async () => {
    conductor = await startConductor();
    api = new BaremetalApi(conductor.apiUrl);
    machine = createHttpClient({ baseURL: conductor.provisioningUrl, timeoutMs: 10_000, ca: await readFile(conductor.certificateFile, 'utf8'), headers: VERSION });
  }, 30_000);
  afterAll(async () => {
    await conductor.process.stop();
    await removeDirectory();
  }, 40_000);

  async function adoptedNode(name: string, address: string): Promise<string> {
    const { uuid } = await api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name, snapshot_interface: 'fake' });
    await api.expect(201, 'POST', '/v1/ports', { address, node_uuid: uuid });
    await api.demand(name, 'manage');
    await api.settled(name, 'manageable');
    await api.demand(name, 'adopt');
    await api.settled(name, 'active');
    return uuid as string;
  }

  test('speaks https with a certificate of its own, to be pinned; plain http gets nothing', async () => {
    expect((await machine.get('/')).status).toBe(200);
    await expect(createHttpClient({ baseURL: conductor.provisioningUrl, timeoutMs: 10_000 }).get('/')).rejects.toThrow(/self-signed/);
    await expect(createHttpClient({ baseURL: conductor.provisioningUrl.replace('https:', 'http:'), timeoutMs: 10_000 }).get('/')).rejects.toThrow();
  });

  test('names only what it serves', async () => {
    const { data } = await machine.get<Record<string, unknown>>('/v1');
    expect(Object.keys(data).filter((name) => !['id', 'links', 'media_types', 'version'].includes(name)).sort()).toEqual(['heartbeat', 'lookup']);
    expect(JSON.stringify(data)).toContain(conductor.provisioningUrl);
  });

  test.each([
    ['GET', '/v1/nodes'],
    ['GET', '/v1/nodes/detail'],
    ['POST', '/v1/nodes'],
    ['GET', '/v1/nodes/exposed'],
    ['PATCH', '/v1/nodes/exposed'],
    ['DELETE', '/v1/nodes/exposed'],
    ['GET', '/v1/nodes/exposed/states'],
    ['PUT', '/v1/nodes/exposed/states/provision'],
    ['PUT', '/v1/nodes/exposed/states/power'],
    ['PUT', '/v1/nodes/exposed/maintenance'],
    ['GET', '/v1/nodes/exposed/history'],
    ['GET', '/v1/ports'],
    ['GET', '/v1/drivers'],
    ['GET', '/v1/conductors'],
    ['GET', '/v2/images'],
    ['GET', '/metrics'],
    ['GET', '/v1//nodes'],
    ['GET', '/V1/../v1/nodes'],
  ])('does not serve %s %s of the admin API: 404', async (method, url) => {
    const reply = await machine.request({ method, url, data: method === 'GET' ? undefined : {} });
    expect(reply.status).toBe(404);
    expect(inner(reply)).toMatchObject({ code: 404 });
  });

  test('serves the share to nobody without the credential of an unfinished snapshot', async () => {
    for (const method of ['PROPFIND', 'GET', 'PUT', 'OPTIONS', 'DELETE']) {
      const [nobody, somebody] = [await machine.request({ method, url: `/snapshots/${randomUUID()}/x` }), await machine.request({ method, url: '/snapshots/', auth: { username: randomUUID(), password: 'guess' } })];
      expect([method, nobody.status, somebody.status]).toEqual([method, 401, 401]);
    }
  });

  test('answers a lookup only where a ramdisk is expected, and gives the token once', async () => {
    const uuid = await adoptedNode('looked-up', MAC);
    const lookup = (query: string, version = '1.116'): Promise<AxiosResponse> => machine.get(`/v1/lookup${query}`, { headers: { [VERSION_HEADER]: version } });
    const statusOf = async (query: string, version?: string): Promise<number> => (await lookup(query, version)).status;
    expect(await statusOf(`?addresses=${MAC}`)).toBe(404); // active: nobody asked for a ramdisk
    await api.demand('looked-up', 'snapshot', { image_ref: randomUUID() });
    await api.settled('looked-up', 'snapshot wait');

    expect(await statusOf('')).toBe(400);
    expect(await statusOf('?addresses=not-a-mac')).toBe(400);
    expect(await statusOf(`?addresses=${MAC}`, '1.21')).toBe(404);
    const unknown = await lookup('?addresses=52:54:00:ff:ff:ff');
    expect({ status: unknown.status, inner: inner(unknown) }).toMatchObject({ status: 404, inner: { faultstring: 'Resource could not be found.' } });
    expect(await statusOf(`?node_uuid=${randomUUID()}`)).toBe(404);

    const found = await lookup(`?addresses=52:54:00:ff:ff:ff,${MAC.toUpperCase()}`);
    expect(found).toMatchObject({ status: 200, data: { node: { uuid }, config: { agent_token: expect.stringMatching(/^.{32,}$/), agent_token_required: true } } });
    for (const version of ['1.116', '1.61', '1.22']) expect((await lookup(`?node_uuid=${uuid}`, version)).data).toMatchObject({ config: { agent_token: '******' } });
    expect(JSON.stringify(await api.node(uuid))).not.toContain((found.data as { config: { agent_token: string } }).config.agent_token);
  });

  test('takes a heartbeat only with the token, and only with a callback over https', async () => {
    const uuid = await adoptedNode('beating', '52:54:00:00:00:02');
    const beat = (more: Record<string, unknown> = {}, ident = uuid): Promise<AxiosResponse> => machine.post(`/v1/heartbeat/${ident}`, { callback_url: 'https://127.0.0.1:9', agent_token: 'guess', ...more });
    expect((await beat()).status).toBe(400); // no token was given out yet: none is right
    await api.demand('beating', 'snapshot', { image_ref: randomUUID() });
    await api.settled('beating', 'snapshot wait');
    const token = ((await machine.get(`/v1/lookup?node_uuid=${uuid}`)).data as { config: { agent_token: string } }).config.agent_token;

    const wrong = await beat();
    expect({ status: wrong.status, inner: inner(wrong) }).toEqual({ status: 400, inner: { faultcode: 'Client', faultstring: expect.stringContaining('invalid agent token'), debuginfo: null } });
    for (const more of [{ agent_token: undefined }, { agent_token: '******' }, { agent_token: `${token}x` }, { agent_token: token, callback_url: 'http://127.0.0.1:9' }, { agent_token: token, callback_url: undefined }, { agent_token: token, bogus: 1 }]) {
      expect([more, (await beat(more)).status]).toEqual([more, 400]);
    }
    expect((await beat({ agent_token: token }, randomUUID())).status).toBe(404);
    expect((await api.node(uuid)).provision_state).toBe('snapshot wait');

    const right = await beat({ agent_token: token });
    expect({ status: right.status, body: right.data as unknown }).toEqual({ status: 202, body: '' });
    await api.settled('beating', 'active');
  });
});

describe('the admin API with http_basic', () => {
  let conductor: ConductorProcess;
  let client: AxiosInstance;
  const as = (username: string, password: string): { auth: { username: string; password: string } } => ({ auth: { username, password } });
  beforeAll(async () => {
    await makeDirectory();
    const file = join(directory, 'htpasswd');
    await writeFile(file, `alice:${await bcrypt.hash('right horse', 5)}\n`);
    conductor = await ConductorProcess.start(directory, { config: { api: { auth: 'http_basic', http_basic_file: file } } });
    client = createHttpClient({ baseURL: conductor.apiUrl, timeoutMs: 10_000, headers: VERSION });
  }, 30_000);
  afterAll(async () => {
    await conductor.process.stop();
    await removeDirectory();
  }, 40_000);

  test.each([
    ['nothing', {}],
    ['a wrong password', as('alice', 'wrong horse')],
    ['an unknown user', as('mallory', 'right horse')],
  ])('answers 401 in Ironic\'s shape to %s', async (_what, credentials) => {
    const reply = await client.get('/v1/nodes', credentials);
    expect(reply.status).toBe(401);
    expect(inner(reply)).toEqual({ code: 401, title: 'Unauthorized', description: expect.any(String) });
    expect(reply.headers).toMatchObject({ 'www-authenticate': 'Basic realm="Baremetal API"', 'x-openstack-ironic-api-maximum-version': '1.116', 'openstack-request-id': expect.stringMatching(/^req-/) });
    expect((await client.get('/v1', credentials)).status).toBe(200); // only versions stand there
  });

  test('lets the user in, and the node\'s history says who it was', async () => {
    const alice = as('alice', 'right horse');
    const created = await client.post<{ uuid: string }>('/v1/nodes', { driver: 'fake-hardware', name: 'hers' }, alice);
    expect(created.status).toBe(201);
    expect((await client.put('/v1/nodes/hers/states/provision', { target: 'manage' }, alice)).status).toBe(202);
    const { data } = await client.get<{ history: { user: string; event: string }[] }>('/v1/nodes/hers/history?detail=true', alice);
    expect(data.history[0]).toMatchObject({ user: 'alice' });
    expect(conductor.process.text).not.toContain('right horse');
  });
});
