import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
let node: NodeRow;
beforeEach(async () => {
  api = await startApi({ listener: 'provisioning', mounts: [{ path: '/snapshots', handler: (request, response) => void response.status(207).end(`${request.method} ${request.url}`) }] });
  node = await api.db.nodes.create(newNode({ name: 'n1', provisionState: 'snapshot wait', properties: { root_device: { serial: 's1' } }, instanceInfo: { image_url: 'http://x/?sig=1' } }));
  await api.db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:01' });
});
afterEach(() => api.close());

const lookup = (query: string, version = '1.116'): Promise<Reply> => api.call('GET', `/v1/lookup?${query}`, { version });

describe('a lookup', () => {
  test('by any of its addresses gives the node, and the token once', async () => {
    const reply = await lookup('addresses=52:54:00:FF:FF:FF,52:54:00:00:00:01,not-a-mac');
    expect(reply.body).toEqual({
      node: { uuid: node.uuid, properties: { root_device: { serial: 's1' } }, instance_info: { image_url: '******' }, driver_internal_info: {}, links: expect.any(Array) },
      config: { heartbeat_timeout: 300, agent_token: expect.stringMatching(/^.{32,}$/), agent_token_required: true },
    });
    for (const version of ['1.116', '1.61', '1.22']) expect((await lookup(`node_uuid=${node.uuid}`, version)).body).toMatchObject({ config: { agent_token: '******' } });
  });

  test('hands on the nonce of its header, and the address of its connection', async () => {
    await lookup('addresses=52:54:00:00:00:01');
    await api.call('GET', '/v1/lookup?addresses=52:54:00:00:00:01', { headers: { 'X-Metalshot-Boot-Nonce': 'n1' } });
    expect(api.workflow.calls).toEqual([undefined, 'n1'].map((nonce) => ({ method: 'lookup', args: [nonce, '127.0.0.1'] })));
  });

  test('is the same 404 for an unknown address, an unknown node, a node that expects no ramdisk, and an old version', async () => {
    const idle = await api.db.nodes.create(newNode({ provisionState: 'active' }));
    const refusals = await Promise.all([lookup('addresses=52:54:00:ff:ff:ff'), lookup(`node_uuid=${randomUUID()}`), lookup(`node_uuid=${idle.uuid}`)]);
    for (const reply of refusals) expect(reply).toMatchObject({ status: 404, error: { faultstring: 'Resource could not be found.' } });
    expect((await lookup('addresses=52:54:00:00:00:01', '1.21')).status).toBe(404);
  });

  test.each(['', 'addresses=', 'addresses=nope', 'node_uuid=nope', 'bogus=1'])('with nothing to look for (%s) is 400', async (query) => {
    expect((await lookup(query)).status).toBe(400);
  });
});

describe('a heartbeat', () => {
  const good = { callback_url: 'https://10.0.0.1:9999', agent_token: 't', agent_version: '1', agent_verify_ca: 'PEM' };
  const beat = (body: unknown, version = '1.116', ident = node.uuid): Promise<Reply> => api.call('POST', `/v1/heartbeat/${ident}`, { body, version });

  test('is 202 with an empty body and reaches the workflow', async () => {
    expect(await beat(good)).toMatchObject({ status: 202, body: '' });
    expect(api.workflow.calls).toEqual([{ method: 'heartbeat', args: [node.uuid, good, '127.0.0.1'] }]);
  });

  test.each([
    ['without a token', { ...good, agent_token: undefined }],
    ['without a callback', { ...good, callback_url: undefined }],
    ['with a callback that is no URL', { ...good, callback_url: 'nope' }],
    ['with an unknown field', { ...good, bogus: 1 }],
  ])('%s is 400', async (_case, body) => {
    expect((await beat(body)).status).toBe(400);
    expect(api.workflow.calls).toEqual([]);
  });

  test('with a field newer than its version is 400, below 1.22 and of an unknown node 404', async () => {
    expect((await beat(good, '1.67')).status).toBe(400);
    expect((await beat({ callback_url: good.callback_url, agent_token: 't', agent_version: '1' }, '1.35')).status).toBe(400);
    expect((await beat({ callback_url: good.callback_url, agent_token: 't' }, '1.22')).status).toBe(202);
    expect((await beat(good, '1.21')).status).toBe(404);
    expect((await beat(good, '1.116', randomUUID())).status).toBe(404);
  });
});

describe('the provisioning listener', () => {
  test('serves versions without authentication, and names what it has', async () => {
    expect((await api.call('GET', '/', { version: null })).status).toBe(200);
    const v1 = await api.call('GET', '/v1', { version: null });
    expect(Object.keys(v1.body as object)).not.toContain('nodes');
    expect(Object.keys((await api.call('GET', '/v1')).body as object)).toEqual(expect.arrayContaining(['lookup', 'heartbeat']));
  });

  test.each(['/v1/nodes', '/v1/nodes/n1', '/v1/ports', '/v1/drivers', '/v1/conductors', '/v1/nodes/n1/states/provision', '/metrics'])('has no %s', async (path) => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) expect((await api.call(method, path)).status).toBe(404);
  });

  test('hands everything below the share\'s path over untouched', async () => {
    expect(await api.call('PROPFIND', '/snapshots/u/file', { version: '9.9', body: '{"not": json' })).toMatchObject({ status: 207, body: 'PROPFIND /u/file' });
  });

  test('takes only small bodies', async () => {
    expect((await api.call('POST', `/v1/heartbeat/${node.uuid}`, { body: { agent_token: 'x'.repeat(70_000) } })).status).toBe(413);
  });
});
