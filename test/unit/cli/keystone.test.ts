import { afterEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, fault, nodeInState, type Answer, type ReceivedRequest } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString();
const endpoint = (type: string, path: string) => ({ type, endpoints: [{ interface: 'public', region_id: 'RegionOne', url: `${service.url}${path}` }] });

/** Keystone, Bare Metal API and image service in one; tokens are numbered. */
async function start(answer: (request: ReceivedRequest) => Answer, { lifeMinutes = 60, token = {} }: { lifeMinutes?: number; token?: Record<string, unknown> } = {}): Promise<void> {
  let tokens = 0;
  service = await ServiceOfTests.start((request) => {
    if (request.path !== '/v3/auth/tokens') return answer(request);
    tokens += 1;
    return { status: 201, headers: { 'X-Subject-Token': `token-${tokens}` }, body: { token: { expires_at: inMinutes(lifeMinutes), catalog: [endpoint('baremetal', '/bm'), endpoint('image', '/im/v2/')], ...token } } };
  });
}
const env = (more: Record<string, string> = {}): Record<string, string> => ({ OS_AUTH_URL: service.url, OS_USERNAME: 'olga', OS_PASSWORD: 'hunter2', OS_PROJECT_NAME: 'lab', ...more });
const asked = () => service.received.filter(({ path }) => path === '/v3/auth/tokens').map(({ body }) => (body as { auth: unknown }).auth);
const others = () => service.received.filter(({ path }) => path !== '/v3/auth/tokens').map(({ path, headers }) => [path, headers['x-auth-token']]);
const empty = (): Answer => ({ body: { nodes: [], images: [] } });

describe('what is asked of Keystone', () => {
  const DEFAULT = { id: 'default' };
  const password = (user: object) => ({ methods: ['password'], password: { user: { ...user, password: 'hunter2' } } });
  test.each([
    ['a password in the domain that every Keystone has', {}, { identity: password({ name: 'olga', domain: DEFAULT }), scope: { project: { name: 'lab', domain: DEFAULT } } }],
    ['domains by name', { OS_USER_DOMAIN_NAME: 'People', OS_PROJECT_DOMAIN_NAME: 'Labs' }, { identity: password({ name: 'olga', domain: { name: 'People' } }), scope: { project: { name: 'lab', domain: { name: 'Labs' } } } }],
    ['ids', { OS_USER_ID: 'u1', OS_PROJECT_ID: 'p1', OS_AUTH_TYPE: 'v3password' }, { identity: password({ id: 'u1' }), scope: { project: { id: 'p1' } } }],
    ['the whole system', { OS_SYSTEM_SCOPE: 'all' }, { identity: password({ name: 'olga', domain: DEFAULT }), scope: { system: { all: true } } }],
    ['an application credential, without a scope', { OS_AUTH_TYPE: 'v3applicationcredential', OS_APPLICATION_CREDENTIAL_ID: 'a1', OS_APPLICATION_CREDENTIAL_SECRET: 's1' }, { identity: { methods: ['application_credential'], application_credential: { id: 'a1', secret: 's1' } } }],
    ['one by name', { OS_AUTH_TYPE: 'v3applicationcredential', OS_APPLICATION_CREDENTIAL_NAME: 'ci', OS_APPLICATION_CREDENTIAL_SECRET: 's1' }, { identity: { methods: ['application_credential'], application_credential: { name: 'ci', secret: 's1', user: { name: 'olga', domain: DEFAULT } } } }],
    ['a token', { OS_AUTH_TYPE: 'token', OS_TOKEN: 't1' }, { identity: { methods: ['token'], token: { id: 't1' } }, scope: { project: { name: 'lab', domain: DEFAULT } } }],
  ])('%s', async (_what, more, auth) => {
    await start(empty);
    expect(await cli(['node', 'list'], { env: env(more) })).toMatchObject({ exitCode: 0, stderr: '' });
    expect(asked()).toEqual([auth]);
    expect(others()).toEqual([['/bm/v1/nodes', 'token-1']]);
  });

  test('nothing, when no service is needed, when the arguments are wrong, and by default without OS_AUTH_URL', async () => {
    await start(empty);
    await cli(['completion', 'bash'], { env: env() });
    await cli(['node', 'set', 'gold-1'], { env: env() });
    await cli(['node', 'list', '--os-endpoint', service.url], { env: { OS_USERNAME: 'olga', OS_PASSWORD: 'hunter2' } });
    expect(asked()).toEqual([]);
  });

  test('options win over variables; --os-auth-type none over an OS_AUTH_URL', async () => {
    await start(empty);
    await cli(['node', 'list', '--os-project-name', 'other', '--os-username', 'ivan'], { env: env() });
    expect(asked()).toMatchObject([{ identity: { password: { user: { name: 'ivan' } } }, scope: { project: { name: 'other' } } }]);
    await cli(['node', 'list', '--os-auth-type', 'none', '--os-endpoint', service.url], { env: env() });
    expect(asked()).toHaveLength(1);
  });
});

describe('a token', () => {
  test('serves a whole command, both services included', async () => {
    await start(({ path, method }) => (method === 'PUT' ? { status: 202 } : path.startsWith('/im') ? { body: { images: [{ id: 'i-1', name: 'golden' }] } } : { body: nodeInState('active') }));
    await cli(['node', 'restore', 'gold-1', '--image', 'golden', '--wait'], { env: env() });
    expect(others()).toEqual([['/im/v2/images?name=golden', 'token-1'], ['/bm/v1/nodes/gold-1/states/provision', 'token-1'], ['/bm/v1/nodes/gold-1', 'token-1']]);
  });

  test('that ends soon is replaced before the next request', async () => {
    let looks = 0;
    await start(({ method }) => (method === 'PUT' ? { status: 202 } : { body: nodeInState(++looks < 2 ? 'verifying' : 'manageable') }), { lifeMinutes: 4 });
    expect((await cli(['node', 'manage', 'gold-1', '--wait', '--poll-interval', '0.01'], { env: env() })).exitCode).toBe(0);
    expect(asked().length).toBeGreaterThanOrEqual(3);
    expect(new Set(others().map(([, token]) => token)).size).toBe(3);
  });

  test('that Keystone takes too long to give does not outlast --wait', async () => {
    let tokens = 0;
    service = await ServiceOfTests.start(({ path, method }): Answer => {
      if (path === '/v3/auth/tokens' && ++tokens > 1) return { hang: true };
      if (path === '/v3/auth/tokens') return { status: 201, headers: { 'X-Subject-Token': 't' }, body: { token: { expires_at: inMinutes(60), catalog: [endpoint('baremetal', '/bm')] } } };
      return method === 'PUT' ? { status: 202 } : fault(401, 'Expired.');
    });
    const result = await cli(['node', 'manage', 'gold-1', '--wait', '0.3', '--timeout', '600', '--poll-interval', '0.01'], { env: env() });
    expect(result.exitCode).toBe(7);
    expect(tokens).toBe(2);
  });

  test('that is refused is replaced once, not for ever', async () => {
    await start(({ headers }) => (headers['x-auth-token'] === 'token-1' ? fault(401, 'Expired.') : empty()));
    expect((await cli(['node', 'list'], { env: env() })).exitCode).toBe(0);
    expect(others().map(([, token]) => token)).toEqual(['token-1', 'token-2']);
    await service.stop();
    await start(() => fault(401, 'Never.'));
    expect((await cli(['node', 'list'], { env: env() })).exitCode).toBe(3);
    expect(others()).toHaveLength(2);
  });

  test('and what it was had for are never shown', async () => {
    await start(() => fault(401, 'Never.'));
    const { stdout, stderr } = await cli(['node', 'list', '--debug'], { env: env({ OS_APPLICATION_CREDENTIAL_SECRET: 's3cret' }) });
    expect(stderr).toContain('debug: POST');
    for (const secret of ['hunter2', 's3cret', 'token-1', 'token-2']) expect(stdout + stderr).not.toContain(secret);
  });
});

describe('the catalog', () => {
  test('is read by interface and region', async () => {
    const places = [['public', 'RegionOne', '/a'], ['internal', 'RegionTwo', '/b'], ['internal', 'RegionOne', '/c']] as const;
    const endpoints: unknown[] = [];
    await start(empty, { token: { catalog: [{ type: 'identity', endpoints }, { type: 'baremetal', endpoints }] } });
    endpoints.push(...places.map(([kind, region, path]) => ({ interface: kind, region_id: region, url: `${service.url}${path}` })));
    await cli(['node', 'list'], { env: env({ OS_INTERFACE: 'internalURL', OS_REGION_NAME: 'RegionOne' }) });
    await cli(['node', 'list'], { env: env({ OS_INTERFACE: 'internal' }) });
    await cli(['node', 'list'], { env: env() });
    expect(others().map(([path]) => path)).toEqual(['/c/v1/nodes', '/b/v1/nodes', '/a/v1/nodes']);
  });

  test('is not needed for a service whose address is given', async () => {
    await start(empty, { token: { catalog: undefined } });
    expect((await cli(['node', 'list', '--os-endpoint', `${service.url}/given`], { env: env() })).exitCode).toBe(0);
    expect(others()).toEqual([['/given/v1/nodes', 'token-1']]);
    const without = await cli(['image', 'list'], { env: env() });
    expect(without).toMatchObject({ exitCode: 3, stdout: '' });
    expect(without.stderr).toContain('no public endpoint of type "image" (the catalog is empty: is a project given? OS_PROJECT_NAME); give it with --os-image-endpoint');
  });
});

describe('a Keystone', () => {
  test.each([
    ['that refuses', { status: 401, body: { error: { message: 'The password is wrong.' } } }, 3, 'refused user olga: The password is wrong; check OS_USERNAME'],
    ['that does not understand', { status: 400, body: { error: { message: 'Expecting to find domain.' } } }, 3, 'refused the request for a token: Expecting to find domain'],
    ['that is none', { body: '<html>' }, 6, 'not as Keystone v3 does; check --os-auth-url (OS_AUTH_URL)'],
    ['that does not answer', { hang: true }, 6, 'no answer within 0.2 s'],
  ])('%s ends the command', async (_what, answer, exitCode, message) => {
    service = await ServiceOfTests.start(() => answer);
    const result = await cli(['node', 'list', '--timeout', '0.2'], { env: env() });
    expect(result).toMatchObject({ exitCode, stdout: '' });
    expect(result.stderr).toContain(message);
    expect(result.stderr).not.toContain('hunter2');
  });

  test('that is away for a moment is asked again', async () => {
    let busy = 2;
    await start(empty);
    const { url } = service;
    const front = await ServiceOfTests.start(() => (busy-- > 0 ? { status: 503, body: {} } : { status: 201, headers: { 'X-Subject-Token': 't' }, body: { token: { catalog: [{ type: 'baremetal', endpoints: [{ interface: 'public', url }] }] } } }));
    try {
      expect((await cli(['node', 'list'], { env: { ...env(), OS_AUTH_URL: front.url } })).exitCode).toBe(0);
      expect(front.received).toHaveLength(3);
    } finally {
      await front.stop();
    }
  });

  test('beyond this machine without TLS is warned of', async () => {
    service = await ServiceOfTests.start(empty);
    const { stderr } = await cli(['node', 'list'], { env: { ...env(), OS_AUTH_URL: 'http://keystone.invalid:5000/v3' }, interrupt: AbortSignal.abort() });
    expect(stderr).toContain('warning: the password goes to keystone.invalid unencrypted; use https');
  });
});
