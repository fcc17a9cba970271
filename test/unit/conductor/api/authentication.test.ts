import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import bcrypt from 'bcryptjs';
import { httpBasic } from '../../../../conductor/api/authentication.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

const COST = 4;
let directory: string;
let file: string;
let api: ApiUnderTest;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-auth-'));
  file = join(directory, 'htpasswd');
  await writeFile(file, `# people\nadmin:${bcrypt.hashSync('s3cret:with colon', COST).replace('$2b$', '$2y$')}\n`);
  api = await startApi({ auth: httpBasic(file) });
});
afterEach(async () => {
  await api.close();
  await rm(directory, { recursive: true, force: true });
});

const as = (user: string, password: string): { headers: Record<string, string> } => ({ headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` } });

describe('with http_basic', () => {
  test.each([
    ['no credentials', {}],
    ['a wrong password', as('admin', 'nope')],
    ['an unknown user', as('nobody', 's3cret:with colon')],
    ['an empty password', as('admin', '')],
    ['another scheme', { headers: { Authorization: 'Bearer x' } }],
    ['no colon', { headers: { Authorization: `Basic ${Buffer.from('admin').toString('base64')}` } }],
  ])('%s is 401, says how to sign in, and touches nothing', async (_case, options) => {
    const reply = await api.call('POST', '/v1/nodes', { ...options, body: { driver: 'fake-hardware' } });
    expect(reply.status).toBe(401);
    expect(reply.headers['www-authenticate']).toBe('Basic realm="Baremetal API"');
    expect(reply.headers).toMatchObject({ 'x-openstack-ironic-api-maximum-version': '1.116', 'openstack-request-id': expect.any(String) });
    expect(reply.error).toMatchObject({ code: 401 });
    expect(await api.db.nodes.list()).toEqual([]);
  });

  test('the right password opens everything, again and again, and names the caller', async () => {
    await api.db.nodes.create(newNode({ name: 'n1' }));
    for (let turn = 0; turn < 3; turn += 1) expect((await api.call('GET', '/v1/nodes', as('admin', 's3cret:with colon'))).status).toBe(200);
    expect((await api.call('GET', '/v1/nodes', as('admin', 'nope'))).status).toBe(401);
    await api.call('PUT', '/v1/nodes/n1/states/provision', { ...as('admin', 's3cret:with colon'), body: { target: 'manage' } });
    expect(api.workflow.calls[0]?.args.at(-1)).toEqual({ user: 'admin', projectId: null, access: 'admin' });
  });

  test('the versions stay public; nothing else does, however it is spelled', async () => {
    for (const path of ['/', '/v1', '/v1/']) expect((await api.call('GET', path)).status).toBe(200);
    for (const path of ['/v1/nodes', '/V1/nodes', '/v1//nodes', '/v1/lookup?addresses=52:54:00:00:00:01', '/v1/nope', '/v1/%6eodes']) expect([path, (await api.call('GET', path)).status]).toEqual([path, 401]);
  });

  test('a changed file counts from the next request on: new users come in, old passwords go out', async () => {
    expect((await api.call('GET', '/v1/nodes', as('admin', 's3cret:with colon'))).status).toBe(200);
    await writeFile(file, `admin:${bcrypt.hashSync('another', COST)}\nguest:${bcrypt.hashSync('g', COST)}\n`);
    expect((await api.call('GET', '/v1/nodes', as('admin', 's3cret:with colon'))).status).toBe(401);
    expect((await api.call('GET', '/v1/nodes', as('admin', 'another'))).status).toBe(200);
    expect((await api.call('GET', '/v1/nodes', as('guest', 'g'))).status).toBe(200);
    await rm(file);
    expect((await api.call('GET', '/v1/nodes', as('guest', 'g'))).status).toBe(500);
    expect(JSON.stringify((await api.call('GET', '/v1/nodes')).body)).not.toContain(directory);
  });

  test('a file that is missing or has other hashes is refused at the start', async () => {
    expect(() => httpBasic(join(directory, 'missing'))).toThrow('htpasswd -B');
    await writeFile(join(directory, 'md5'), 'admin:$apr1$abc$def\n');
    expect(() => httpBasic(join(directory, 'md5'))).toThrow('line 1');
  });
});
