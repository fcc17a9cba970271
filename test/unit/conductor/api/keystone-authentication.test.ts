/** Callers with tokens; that Keystone's own tokens are understood is shown with a real Keystone in test/integration/keystone. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { keystone } from '../../../../conductor/api/keystone-authentication.ts';
import { callerOf } from '../../../../conductor/api/keystone-caller.ts';
import { KeystoneTokenCache, type InspectToken } from '../../../../conductor/api/keystone-token-cache.ts';
import { OperationFailedError, TemporarilyUnavailableError } from '../../../../protocol/errors.ts';
import type { KeystoneToken } from '../../../../protocol/keystone.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { until } from '../../../rig/until.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

const DEFAULT = { id: 'default', name: 'Default' };
const token = (more: Partial<KeystoneToken> = {}, ...roles: string[]): KeystoneToken => ({
  user: { id: 'u', name: 'ann' },
  project: { id: 'p1', name: 'alpha', domain: DEFAULT },
  roles: (roles.length > 0 ? roles : ['admin']).map((name) => ({ name })),
  issued_at: new Date(Date.now() - 1_000).toISOString(),
  expires_at: new Date(Date.now() + 3_600_000).toISOString(),
  catalog: [],
  ...more,
});

let api: ApiUnderTest;
let asked: string[];
let inspect: InspectToken;
beforeEach(async () => {
  asked = [];
  inspect = async (text) => (text === 'good' ? token() : null);
  const auth = keystone({
    authUrl: 'https://keystone.example/v3',
    inspect: (text) => {
      asked.push(text);
      return inspect(text);
    },
    log: createLogger('test', 'silent'),
  });
  api = await startApi({ auth });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await api.close();
});
const list = (text: string): ReturnType<ApiUnderTest['call']> => api.call('GET', '/v1/nodes', { headers: { 'X-Auth-Token': text } });

describe('with Keystone', () => {
  test.each<[string, Record<string, string>]>([
    ['no token', {}],
    ['a token that Keystone does not know', { 'X-Auth-Token': 'bad' }],
    ['an empty token', { 'X-Auth-Token': '' }],
    ['a token that fits no header', { 'X-Auth-Token': 'g\u00f6od' }],
    ['a password instead', { Authorization: 'Basic YTpi' }],
  ])('%s is 401, says where tokens are made, and touches nothing', async (_case, headers) => {
    const reply = await api.call('POST', '/v1/nodes', { headers, body: { driver: 'fake-hardware' } });
    expect(reply.status).toBe(401);
    expect(reply.headers['www-authenticate']).toBe('Keystone uri="https://keystone.example/v3"');
    expect(reply.error).toMatchObject({ code: 401, title: 'Unauthorized', description: expect.any(String) });
    expect(await api.db.nodes.list()).toEqual([]);
  });

  test('the versions stay public, and ask Keystone nothing', async () => {
    for (const path of ['/', '/v1', '/v1/']) expect((await api.call('GET', path)).status).toBe(200);
    for (const path of ['/v1/nodes', '/nodes', '/V1/nodes', '/v1//nodes', '/v1/lookup?addresses=52:54:00:00:00:01', '/v1/nope']) expect([path, (await api.call('GET', path)).status]).toEqual([path, 401]);
    expect(asked).toEqual([]);
  });

  test('a good token opens, names the caller, and is asked about once in a while only', async () => {
    await api.db.nodes.create(newNode({ name: 'n1' }));
    await Promise.all([list('good'), list('good'), list('good')]);
    expect((await api.call('PUT', '/v1/nodes/n1/states/provision', { headers: { 'X-Auth-Token': 'good' }, body: { target: 'manage' } })).status).toBe(202);
    expect(api.workflow.calls[0]?.args.at(-1)).toEqual({ user: 'ann', projectId: 'p1', access: 'admin', scope: 'project' });
    expect(asked).toEqual(['good']);
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now + 61_000);
    expect((await list('good')).status).toBe(200);
    expect(asked).toHaveLength(2);
  });

  test('a token counts no longer than it lives, however short ago it was asked about', async () => {
    const endsAt = Date.now() + 5_000;
    inspect = async () => token({ expires_at: new Date(endsAt).toISOString() });
    expect((await list('short')).status).toBe(200);
    inspect = async () => null;
    expect((await list('short')).status).toBe(200);
    jest.spyOn(Date, 'now').mockReturnValue(endsAt);
    expect((await list('short')).status).toBe(401);
  });

  test('a refused token is asked about anew, and a thousand other tokens do not make one known', async () => {
    expect((await list('new')).status).toBe(401);
    inspect = async () => token();
    expect((await list('new')).status).toBe(200);
    for (let number = 0; number < 1_000; number += 1) await list(`other-${number}`);
    inspect = async () => null;
    expect((await list('new')).status).toBe(401);
  });

  test('any number of worthless tokens at once makes no good one forgotten; those beyond a thousand are not even asked about', async () => {
    const questions: (() => void)[] = [];
    const cache = new KeystoneTokenCache((text) => (asked.push(text), text === 'good' ? Promise.resolve(token()) : new Promise((resolve) => questions.push(() => resolve(null)))), 60_000);
    await cache.look('good');
    const looks = Array.from({ length: 1_200 }, (_, number) => cache.look(`bad-${number}`).catch((error: unknown) => error));
    expect(await cache.look('good')).not.toBeNull();
    expect(asked.filter((text) => text === 'good')).toHaveLength(1);
    let ended = false;
    const all = Promise.all(looks).finally(() => (ended = true));
    await until('all are answered', () => (questions.splice(0).forEach((answer) => answer()), ended));
    const answers = await all;
    expect(answers.filter((answer) => answer === null)).toHaveLength(1_016);
    expect(answers.filter((answer) => answer instanceof TemporarilyUnavailableError)).toHaveLength(184);
  });

  test('worthless tokens, however many at once, are asked about a few at a time, and a known one does not wait for them', async () => {
    expect((await list('good')).status).toBe(200);
    let open = 0;
    let most = 0;
    const answers: (() => void)[] = [];
    inspect = () => {
      most = Math.max(most, ++open);
      return new Promise((resolve) => answers.push(() => (open -= 1, resolve(null))));
    };
    const replies = Array.from({ length: 50 }, (_, number) => list(`bad-${number}`));
    await until('some are asked about', () => open === 16);
    expect((await list('good')).status).toBe(200);
    let ended = false;
    const all = Promise.all(replies).finally(() => (ended = true));
    await until('all are answered', () => (answers.splice(0).forEach((answer) => answer()), ended));
    expect((await all).map(({ status }) => status)).toEqual(replies.map(() => 401));
    expect(most).toBe(16);
    expect(asked).toHaveLength(51);
  });

  test.each([new TemporarilyUnavailableError('Keystone cannot be reached: secret-host'), new OperationFailedError('Keystone does not accept user secret-user')])('while Keystone cannot be asked it is 503 without our own details: %s', async (error) => {
    inspect = () => Promise.reject(error);
    const reply = await list('good');
    expect([reply.status, JSON.stringify(reply.body)]).toEqual([503, expect.not.stringMatching(/secret/)]);
    expect(reply.headers['www-authenticate']).toBeUndefined();
    inspect = async () => token();
    expect((await list('good')).status).toBe(200);
  });

  test('a good token without a role here is 403', async () => {
    inspect = async () => token({}, 'swiftoperator');
    const reply = await list('good');
    expect([reply.status, reply.error?.description]).toEqual([403, expect.stringContaining('swiftoperator')]);
  });
});

describe('a token stands for', () => {
  const system = { project: undefined, system: { all: true } };
  const services = { project: { id: 'ps', name: 'service', domain: DEFAULT } };
  test.each<[string, Partial<KeystoneToken>, string[], object]>([
    ['an administrator: admin in a project', {}, ['admin', 'member', 'reader'], { access: 'admin', projectId: 'p1', scope: 'project' }],
    ['an administrator: admin of the system', system, ['admin'], { access: 'admin', projectId: null, scope: 'system' }],
    ['an administrator: admin in the admin project', { is_admin_project: true }, ['admin'], { access: 'admin' }],
    ['an administrator: a service in the project of services', services, ['service'], { access: 'admin' }],
    ['an administrator: a service of the system', system, ['service'], { access: 'admin' }],
    ['its project: admin, where another one is the admin project', { is_admin_project: false }, ['admin'], { access: 'project', projectId: 'p1' }],
    ['its project: a service in any other project', {}, ['service'], { access: 'project', projectId: 'p1' }],
    ['its project: a service in a project of that name in another domain', { project: { id: 'x', name: 'service', domain: { id: 'd2', name: 'Two' } } }, ['service'], { access: 'project', projectId: 'x' }],
    ['its project: a manager', {}, ['manager'], { access: 'project', projectId: 'p1', scope: 'project' }],
    ['its project: a member', {}, ['member', 'reader'], { access: 'project' }],
    ['a reader of its project', {}, ['reader'], { access: 'reader', projectId: 'p1' }],
    ['a member of the system', system, ['member'], { access: 'project', projectId: null, scope: 'system' }],
    ['a reader of the system', system, ['Reader'], { access: 'reader', projectId: null, scope: 'system' }],
  ])('%s', (_who, more, roles, expected) => {
    expect(callerOf(token(more, ...roles))).toMatchObject({ user: 'ann', ...expected });
  });

  test.each<[string, Partial<KeystoneToken>]>([
    ['no scope', { project: undefined }],
    ['a domain', { project: undefined, domain: DEFAULT }],
    ['a part of the system', { project: undefined, system: { all: false } }],
  ])('nobody here when it is scoped to %s', (_scope, more) => {
    expect(() => callerOf(token(more, 'admin'))).toThrow('project or to the system');
  });
});
