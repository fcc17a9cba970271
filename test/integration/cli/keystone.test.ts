import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_PASSWORD, startKeystone, type Keystone } from '../../peers/keystone.ts';
import type { Person } from '../../peers/keystone-directory.ts';
import { ServiceOfTests, cli, fault, nodeInState, type Answer, type ReceivedRequest } from '../../unit/cli/service-of-tests.ts';

let keystone: Keystone;
let service: ServiceOfTests;
let operator: Person;
let answer: (request: ReceivedRequest, token: string) => Answer | Promise<Answer>;

/** Asks the real Keystone whether the token is one, as the middleware of a service does. */
async function validated(request: ReceivedRequest): Promise<Answer> {
  const token = String(request.headers['x-auth-token'] ?? '');
  if (token === '' || !(await keystone.cloud.knows(token))) return fault(401, 'The request you have made requires authentication.');
  return answer(request, token);
}

beforeAll(async () => {
  keystone = await startKeystone();
  service = await ServiceOfTests.start(validated);
  const projectId = await keystone.cloud.project('lab');
  operator = await keystone.cloud.user('operator');
  await keystone.cloud.grant(operator, 'member', { projectId });
  await keystone.cloud.service('baremetal', `${service.url}/baremetal/v1`);
  await keystone.cloud.service('image', `${service.url}/image`);
}, 120_000);
afterEach(() => {
  service.received.length = 0;
});
afterAll(async () => {
  await service?.stop();
  await keystone?.stop();
});

const password = (more: Record<string, string> = {}): Record<string, string> => ({ OS_AUTH_URL: keystone.authUrl, OS_USERNAME: 'operator', OS_PASSWORD: operator.password, OS_PROJECT_NAME: 'lab', OS_USER_DOMAIN_NAME: 'Default', OS_PROJECT_DOMAIN_NAME: 'Default', ...more });
const nodes = (): Answer => ({ body: { nodes: [{ uuid: 'u-1', name: 'gold-1' }], images: [{ id: 'i-1', name: 'gold', status: 'queued' }] } });

describe('with a real Keystone', () => {
  test('a password opens both services, at the addresses of the catalog', async () => {
    answer = nodes;
    expect(await cli(['node', 'list', '-f', 'value', '-c', 'Name'], { env: password() })).toMatchObject({ exitCode: 0, stdout: 'gold-1\n', stderr: '' });
    expect(await cli(['image', 'list', '-f', 'value', '-c', 'Name'], { env: password() })).toMatchObject({ exitCode: 0, stdout: 'gold\n', stderr: '' });
    expect(service.lines).toEqual(['GET /baremetal/v1/nodes', 'GET /image/v2/images']);
  });

  test('so does an application credential, which brings its project with it', async () => {
    answer = nodes;
    const { id, secret } = await keystone.cloud.applicationCredential(operator, 'lab');
    const env = { OS_AUTH_TYPE: 'v3applicationcredential', OS_AUTH_URL: keystone.authUrl, OS_APPLICATION_CREDENTIAL_ID: id, OS_APPLICATION_CREDENTIAL_SECRET: secret };
    expect(await cli(['node', 'list', '-f', 'value', '-c', 'Name'], { env })).toMatchObject({ exitCode: 0, stdout: 'gold-1\n', stderr: '' });
  });

  test('so does a token, and the system scope of an administrator', async () => {
    answer = nodes;
    const token = await keystone.cloud.token(operator, 'none');
    const byToken = { OS_AUTH_TYPE: 'token', OS_AUTH_URL: keystone.authUrl, OS_TOKEN: token, OS_PROJECT_NAME: 'lab' };
    expect((await cli(['node', 'list'], { env: byToken })).exitCode).toBe(0);
    const system = { OS_AUTH_URL: keystone.authUrl, OS_USERNAME: 'admin', OS_PASSWORD: ADMIN_PASSWORD, OS_SYSTEM_SCOPE: 'all' };
    expect((await cli(['node', 'list'], { env: system })).exitCode).toBe(0);
  });

  test('an address that is given wins over the catalog', async () => {
    answer = nodes;
    await cli(['node', 'list', '--os-endpoint', `${service.url}/mine`], { env: password() });
    expect(service.lines).toEqual(['GET /mine/v1/nodes']);
  });

  test('a token that is revoked while a command waits is replaced, and the command goes on', async () => {
    const tokens = new Set<string>();
    let looks = 0;
    answer = async ({ method }, token) => {
      tokens.add(token);
      if (method === 'PUT') return { status: 202 };
      looks += 1;
      if (looks === 2) await keystone.cloud.revoke(token);
      return { body: nodeInState(looks < 4 ? 'verifying' : 'manageable') };
    };
    const result = await cli(['node', 'manage', 'gold-1', '--wait', '--poll-interval', '0.01'], { env: password() });
    expect(result.exitCode).toBe(0);
    expect(tokens.size).toBe(2);
  });

  test('a wrong password is refused in a sentence that names the user and not the password', async () => {
    const result = await cli(['node', 'list', '--debug'], { env: password({ OS_PASSWORD: 'hunter2' }) });
    expect(result).toMatchObject({ exitCode: 3, stdout: '' });
    expect(result.stderr).toContain(`baremetal: Keystone at ${keystone.authUrl} refused user operator: The request you have made requires authentication; check OS_USERNAME`);
    expect(result.stderr).not.toContain('hunter2');
    expect(service.received).toEqual([]);
  });

  test.each([
    ['a region that is not there', { OS_REGION_NAME: 'Elsewhere' }, 'no public endpoint of type "baremetal" in region Elsewhere'],
    ['an interface that is not there', { OS_INTERFACE: 'internal' }, 'no internal endpoint of type "baremetal"'],
    ['no project', { OS_PROJECT_NAME: '' }, 'the catalog is empty: is a project given? OS_PROJECT_NAME'],
  ])('%s: it says what the catalog lacks', async (_what, env, message) => {
    const result = await cli(['node', 'list'], { env: password(env) });
    expect(result).toMatchObject({ exitCode: 3, stdout: '' });
    expect(result.stderr).toContain(message);
    expect(result.stderr).toContain('--os-endpoint (OS_ENDPOINT)');
  });

  test('a token refused by the service itself, again with a new one, is a refusal', async () => {
    answer = () => fault(401, 'Not for you.');
    const result = await cli(['node', 'list'], { env: password() });
    expect(result.exitCode).toBe(3);
    expect(service.received).toHaveLength(2);
  });
});
