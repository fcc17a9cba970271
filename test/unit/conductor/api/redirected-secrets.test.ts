/** Who may not read a BMC's password must not have it sent to an address of his choice. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { contextOf } from '../../../../conductor/api/request-context.ts';
import type { JsonObject } from '../../../../protocol/json.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi({
    auth: (request, response, next) => {
      contextOf(response).caller = request.get('X-Who') === 'admin' ? { user: 'root', projectId: 'p0', access: 'admin', scope: 'project' } : { user: 'olga', projectId: 'p1', access: 'project', scope: 'project' };
      next();
    },
  });
});
afterAll(() => api.close());

const STORED: JsonObject = { redfish_address: 'https://10.0.0.7', redfish_username: 'root', redfish_password: 'of the administrator', redfish_verify_ca: true, logins: [{ api_token: 't1' }] };
beforeEach(async () => {
  for (const { id } of await api.db.nodes.list()) await api.db.nodes.delete(id);
  await api.db.nodes.create(newNode({ name: 'n1', owner: 'p1', driverInfo: STORED }));
});
type Operation = { op: 'add' | 'replace' | 'remove'; path: string; value?: unknown };
const set = (name: string, value: unknown): Operation => ({ op: 'add', path: `/driver_info/${name}`, value });
const patch = (operations: Operation[], who = 'owner'): Promise<Reply> => api.call('PATCH', '/v1/nodes/n1', { headers: { 'X-Who': who }, body: operations });
const stored = async (): Promise<unknown> => (await api.db.nodes.find('n1'))?.driverInfo;

describe('an owner', () => {
  test.each<[string, Operation[]]>([
    ['another address', [set('redfish_address', 'https://evil')]],
    ['no proof of who answers', [set('redfish_verify_ca', false)]],
    ['no address, to add one later', [{ op: 'remove', path: '/driver_info/redfish_address' }]],
    ['another address with some of the secrets', [set('redfish_address', 'https://evil'), set('redfish_password', 'mine')]],
    ['another address, and the stored secret moved aside', [set('redfish_address', 'https://evil'), set('redfish_password', 'mine'), set('logins/0', { api_token: 'mine' })]],
  ])('cannot set %s: 400, and nothing is changed', async (_case, operations) => {
    const reply = await patch(operations);
    expect([reply.status, reply.error?.faultstring]).toEqual([400, expect.stringMatching(/together with the secrets .*(redfish_password|logins)/)]);
    expect(JSON.stringify(reply.body)).not.toContain('of the administrator');
    expect(await stored()).toEqual(STORED);
  });

  test.each<[string, Operation[]]>([
    ['another address with secrets of its own', [set('redfish_address', 'https://other'), set('redfish_password', 'mine'), set('logins', [])]],
    ['everything anew', [{ op: 'replace', path: '/driver_info', value: { redfish_address: 'https://other', redfish_password: 'mine' } }]],
    ['an address where the secrets go', [set('redfish_address', 'https://other'), { op: 'remove', path: '/driver_info/redfish_password' }, { op: 'remove', path: '/driver_info/logins' }]],
    ['another password for the same BMC', [set('redfish_password', 'mine')]],
    ['another user, and the address as it is', [set('redfish_username', 'olga'), set('redfish_address', 'https://10.0.0.7')]],
  ])('may set %s', async (_case, operations) => {
    expect((await patch(operations)).status).toBe(200);
  });
});

test('an administrator may move a BMC and keep its password', async () => {
  expect((await patch([set('redfish_address', 'https://other')], 'admin')).status).toBe(200);
  expect(await stored()).toEqual({ ...STORED, redfish_address: 'https://other' });
});
