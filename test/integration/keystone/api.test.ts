/** A conductor whose callers are those of a real Keystone. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { VERSION_HEADER } from '../../../protocol/microversion.ts';
import { runProgram } from '../../../protocol/program.ts';
import { requirePackages } from '../../peers/glance.ts';
import type { Person } from '../../peers/keystone-directory.ts';
import { startKeystone, type Keystone } from '../../peers/keystone.ts';
import { ConductorProcess } from '../../rig/conductor-process.ts';
import { until } from '../../rig/until.ts';
import { ImageApi } from '../image-service/image-api.ts';

/** A Keystone of Python takes its time on a busy machine. */
const PATIENCE_MS = 180_000;
const CLIENT = '/usr/bin/baremetal';
const SECRET = 'a secret of the service user';

let directory: string;
let keystone: Keystone;
let conductor: ConductorProcess;
let [alpha, beta] = ['', ''];
let service: Person;
let people: Record<'member' | 'reader' | 'stranger' | 'auditor' | 'nobody', Person>;
let adminToken: string;

beforeAll(async () => {
  requirePackages({ [CLIENT]: 'python3-ironicclient' });
  directory = await mkdtemp(join(tmpdir(), 'keystone-api-'));
  keystone = await startKeystone();
  const { cloud } = keystone;
  [alpha, beta] = [await cloud.project('alpha'), await cloud.project('beta')];
  service = await cloud.user('metalshot', SECRET);
  await cloud.grant(service, 'service', { projectId: await cloud.project('service') });
  people = { member: await cloud.user('ann'), reader: await cloud.user('rea'), stranger: await cloud.user('bob'), auditor: await cloud.user('aud'), nobody: await cloud.user('nob') };
  await cloud.grant(people.member, 'member', { projectId: alpha });
  await cloud.grant(people.reader, 'reader', { projectId: alpha });
  await cloud.grant(people.stranger, 'member', { projectId: beta });
  await cloud.grant(people.auditor, 'reader', 'system');
  await cloud.grant(people.nobody, 'swiftoperator', { projectId: alpha });
  await writeFile(join(directory, 'password'), `${SECRET}\n`, { mode: 0o600 });
  conductor = await ConductorProcess.start(directory, { config: { api: { auth: 'keystone', keystone: { auth_url: keystone.authUrl, username: 'metalshot', password_file: join(directory, 'password'), project_name: 'service', timeout_s: 20 } } } });
  await cloud.service('baremetal', conductor.apiUrl);
  adminToken = await cloud.adminToken();
  for (const [name, owner, lessee] of [['node-a', alpha, null], ['node-b', beta, alpha], ['node-c', beta, null]]) expect((await call(adminToken, 'POST', '/v1/nodes', { driver: 'fake-hardware', name, owner, lessee })).status).toBe(201);
}, PATIENCE_MS);
afterAll(async () => {
  await conductor?.process.stop();
  await keystone?.stop();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

interface Reply {
  status: number;
  headers: Record<string, unknown>;
  body: Record<string, unknown>;
}
async function call(token: string | undefined, method: string, path: string, body?: object): Promise<Reply> {
  const http = createHttpClient({ baseURL: conductor.apiUrl, timeoutMs: 60_000, headers: { [VERSION_HEADER]: '1.116', ...(token === undefined ? {} : { 'X-Auth-Token': token }) } });
  const reply = await http.request<Record<string, unknown>>({ method, url: path, data: body });
  return { status: reply.status, headers: reply.headers, body: reply.data };
}
const names = async (token: string): Promise<unknown[]> => ((await call(token, 'GET', '/v1/nodes')).body['nodes'] as { name: string }[]).map(({ name }) => name);
const tokenOf = (person: Person, project = 'alpha'): Promise<string> => keystone.cloud.token(person, { project });

describe('the API with Keystone', () => {
  test('is open for its versions only; without a token it says where to get one', async () => {
    for (const path of ['/', '/v1']) expect((await call(undefined, 'GET', path)).status).toBe(200);
    for (const token of [undefined, 'not a token of anybody', `${adminToken}x`]) {
      const reply = await call(token, 'GET', '/v1/nodes');
      expect(reply).toMatchObject({ status: 401, headers: { 'www-authenticate': `Keystone uri="${keystone.authUrl}"` }, body: { error_message: expect.any(String) } });
    }
  }, PATIENCE_MS);

  test('an administrator may everything', async () => {
    expect(await names(adminToken)).toEqual(['node-a', 'node-b', 'node-c']);
    expect((await call(adminToken, 'GET', '/v1/conductors')).status).toBe(200);
    expect((await call(await keystone.cloud.token({ name: 'admin', password: 'bootstrap secret' }, { system: true }), 'PATCH', '/v1/nodes/node-c', [{ op: 'add', path: '/description', value: 'x' }])).status).toBe(200);
  }, PATIENCE_MS);

  test('a member of a project sees and uses what the project owns or leases, and nothing else exists', async () => {
    const token = await tokenOf(people.member);
    expect(await names(token)).toEqual(['node-a', 'node-b']);
    expect((await call(token, 'PUT', '/v1/nodes/node-a/states/provision', { target: 'manage' })).status).toBe(202);
    expect((await call(token, 'PUT', '/v1/nodes/node-a/maintenance', {})).status).toBe(202);
    expect((await call(token, 'PUT', '/v1/nodes/node-b/maintenance', {})).status).toBe(403);
    expect((await call(token, 'PATCH', '/v1/nodes/node-b', [{ op: 'add', path: '/instance_info/a', value: 1 }])).status).toBe(200);
    expect((await call(token, 'DELETE', '/v1/nodes/node-a')).status).toBe(403);
    expect((await call(token, 'POST', '/v1/nodes', { driver: 'fake-hardware' })).status).toBe(403);
    for (const method of ['GET', 'PATCH', 'DELETE']) expect([method, (await call(token, method, '/v1/nodes/node-c', method === 'PATCH' ? [{ op: 'add', path: '/extra/a', value: 1 }] : undefined)).status]).toEqual([method, 404]);
    expect(await names(await tokenOf(people.stranger, 'beta'))).toEqual(['node-b', 'node-c']);
  }, PATIENCE_MS);

  test('a reader looks and does not touch; one of the system sees all', async () => {
    const token = await tokenOf(people.reader);
    expect(await names(token)).toEqual(['node-a', 'node-b']);
    for (const [method, path, body] of [['PUT', '/v1/nodes/node-a/states/power', { target: 'power on' }], ['PATCH', '/v1/nodes/node-a', [{ op: 'add', path: '/extra/a', value: 1 }]], ['PUT', '/v1/nodes/node-a/maintenance', {}]] as const) expect((await call(token, method, path, body)).status).toBe(403);
    const system = await keystone.cloud.token(people.auditor, { system: true });
    expect(await names(system)).toEqual(['node-a', 'node-b', 'node-c']);
    expect((await call(system, 'GET', '/v1/drivers')).status).toBe(200);
    expect((await call(system, 'PUT', '/v1/nodes/node-a/maintenance', {})).status).toBe(403);
  }, PATIENCE_MS);

  test('a token without a role here, or without a scope, is 403', async () => {
    expect((await call(await tokenOf(people.nobody), 'GET', '/v1/nodes')).status).toBe(403);
    expect((await call(await keystone.cloud.token(people.member, 'none'), 'GET', '/v1/nodes')).status).toBe(403);
  }, PATIENCE_MS);

  test('a revoked token is 401, and so is one whose user was disabled', async () => {
    const token = await tokenOf(people.member);
    await keystone.cloud.revoke(token);
    expect((await call(token, 'GET', '/v1/nodes')).status).toBe(401);
    const leaver = await keystone.cloud.user('leaver');
    await keystone.cloud.grant(leaver, 'member', { projectId: alpha });
    const last = await tokenOf(leaver);
    await keystone.cloud.disable(leaver);
    expect((await call(last, 'GET', '/v1/nodes')).status).toBe(401);
  }, PATIENCE_MS);

  test('of the images that we see, a member deploys those of its project and those for everybody, and learns nothing of others; an administrator any', async () => {
    expect((await call(adminToken, 'POST', '/v1/nodes', { driver: 'redfish', name: 'machine', owner: alpha, driver_info: { redfish_address: 'http://127.0.0.1:1', redfish_system_id: '/redfish/v1/Systems/1', redfish_username: 'u', redfish_password: 'p' } })).status).toBe(201);
    try {
      const images = new ImageApi(conductor.imageUrl);
      const imageOf = async (fields: Record<string, unknown>): Promise<string> => {
        const id = await images.create({ disk_format: 'raw', ...fields });
        await images.upload(id, Buffer.alloc(512, 1));
        return id;
      };
      const plan = async (token: string, body: object): Promise<[number, string]> => {
        const reply = await call(token, 'PUT', '/v1/nodes/machine/states/provision', { target: 'rebuild', dry_run: true, ...body });
        return [reply.status, JSON.stringify(reply.body)];
      };
      const member = await tokenOf(people.member);
      for (const fields of [{ owner: alpha, visibility: 'private' }, { owner: beta, visibility: 'public' }, { owner: beta, visibility: 'community' }]) expect(await plan(member, { image_ref: await imageOf(fields) })).toEqual([200, expect.stringContaining('"plan"')]);
      const refused = new Set<string>();
      const hidden = await imageOf({ owner: beta, visibility: 'shared' });
      for (const image of [hidden, await images.create({ owner: beta }), randomUUID()]) {
        const [status, text] = await plan(member, { image_ref: image });
        refused.add(`${status} ${text.replaceAll(image, 'ID')}`);
      }
      expect([...refused]).toEqual([expect.stringMatching(/^400 .*it is not for your project/)]);
      expect(await plan(adminToken, { image_ref: hidden })).toEqual([200, expect.stringContaining('"plan"')]);
    } finally {
      await call(adminToken, 'DELETE', '/v1/nodes/machine');
    }
  }, PATIENCE_MS);

  test('the history names the user', async () => {
    const { body } = await call(adminToken, 'GET', '/v1/nodes/node-a/history/detail');
    expect((body['history'] as { user: string }[]).map(({ user }) => user)).toContain('ann');
  }, PATIENCE_MS);

  test('the stock client signs in, finds us in the catalog, and sees what its user may see', async () => {
    const baremetal = async (person: Person, project: string, args: string[], acceptedExitCodes = [0]): Promise<{ stdout: string; stderr: string }> =>
      runProgram('/usr/bin/python3', [CLIENT, '--os-auth-type', 'password', '--os-auth-url', keystone.authUrl, '--os-username', person.name, '--os-user-domain-name', 'Default', '--os-project-name', project, '--os-project-domain-name', 'Default', ...args], {
        timeoutMs: 60_000,
        env: { PATH: '/usr/bin:/bin', HOME: directory, LC_ALL: 'C.UTF-8', OS_PASSWORD: person.password },
        cwd: directory,
        acceptedExitCodes,
      });
    expect((JSON.parse((await baremetal(people.member, 'alpha', ['node', 'list', '-f', 'json'])).stdout) as { Name: string }[]).map(({ Name }) => Name)).toEqual(['node-a', 'node-b']);
    expect((await baremetal(people.stranger, 'beta', ['node', 'show', 'node-a'], [1])).stderr).toMatch(/could not be found/);
    await baremetal(people.stranger, 'beta', ['node', 'manage', 'node-c', '--wait', '30']);
    expect((await baremetal(people.reader, 'alpha', ['node', 'maintenance', 'set', 'node-a'], [1])).stderr).toMatch(/do not allow/);
    expect((await baremetal({ ...people.member, password: 'wrong' }, 'alpha', ['node', 'list'], [1])).stderr).toMatch(/requires authentication/);
  }, PATIENCE_MS);

  test('an application credential is as good as its user', async () => {
    const { id, secret } = await keystone.cloud.applicationCredential(people.member, 'alpha');
    const { stdout } = await runProgram('/usr/bin/python3', [CLIENT, '--os-auth-type', 'v3applicationcredential', '--os-auth-url', keystone.authUrl, 'node', 'list', '-f', 'json'], {
      timeoutMs: 60_000,
      env: { PATH: '/usr/bin:/bin', HOME: directory, LC_ALL: 'C.UTF-8', OS_APPLICATION_CREDENTIAL_ID: id, OS_APPLICATION_CREDENTIAL_SECRET: secret },
      cwd: directory,
    });
    expect((JSON.parse(stdout) as { Name: string }[]).map(({ Name }) => Name)).toEqual(['node-a', 'node-b']);
  }, PATIENCE_MS);

  test('our own password changes: the file is read again, without a restart; while it is wrong it is 503, and the log names the key', async () => {
    await keystone.cloud.changePassword(service, 'the next secret');
    const fresh = await tokenOf(people.member);
    expect((await call(fresh, 'GET', '/v1/nodes')).status).toBe(503);
    const line = await conductor.process.line('what is wrong', ({ msg }) => msg === 'a token could not be validated');
    expect(line['error']).toContain('api.keystone.username');
    await writeFile(join(directory, 'password'), 'the next secret');
    await until('the new password counts', async () => (await call(fresh, 'GET', '/v1/nodes')).status === 200);
    for (const secret of [SECRET, 'the next secret', fresh]) expect(conductor.process.text).not.toContain(secret);
  }, PATIENCE_MS);

  test('without Keystone new tokens are 503, and good again once it is back', async () => {
    const fresh = await tokenOf(people.reader);
    const known = await tokenOf(people.member);
    await call(known, 'GET', '/v1/nodes');
    await keystone.end();
    const reply = await call(fresh, 'GET', '/v1/nodes');
    expect([reply.status, reply.headers['www-authenticate'], JSON.stringify(reply.body).includes(keystone.authUrl)]).toEqual([503, undefined, false]);
    expect((await call(known, 'GET', '/v1/nodes')).status).toBe(200);
    await keystone.start();
    await until('tokens are good again', async () => (await call(fresh, 'GET', '/v1/nodes')).status === 200);
  }, PATIENCE_MS);
});
