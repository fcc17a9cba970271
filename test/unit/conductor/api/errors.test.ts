import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi();
  await api.call('POST', '/v1/nodes', { body: { driver: 'fake-hardware', name: 'n1' } });
});
afterAll(() => api.close());

describe('a request that cannot be served', () => {
  test.each(['{"driver":', '[1,', 'driver=fake', '"text"'])('with the body %s is 400', async (body) => {
    const reply = await api.call('POST', '/v1/nodes', { body });
    expect(reply.status).toBe(400);
    expect(reply.error).toMatchObject({ code: 400, description: expect.stringContaining('JSON') });
  });

  test('with a body that is an array where an object is due is 400', async () => {
    expect((await api.call('POST', '/v1/nodes', { body: [] })).status).toBe(400);
    expect((await api.call('PUT', '/v1/nodes/n1/states/provision', { body: [] })).status).toBe(400);
  });

  test('with a body beyond the limit is 413', async () => {
    expect((await api.call('POST', '/v1/nodes', { body: { driver: 'x'.repeat(1024 * 1024) } })).status).toBe(413);
  });

  test('at a path that cannot be decoded is 400', async () => {
    expect((await api.call('GET', '/v1/nodes/%ff')).status).toBe(400);
  });

  test.each(['/v2', '/v1/nope', '/nope', '/v1/nodes/n1/nope', '/v1/volume/nope/nope', '/v1/nodes/n1/states/nope', '/v1/allocations', '/snapshots/x'])('at the unknown path %s is 404 in the shape of a routing error', async (path) => {
    const reply = await api.call('GET', path);
    expect(reply.status).toBe(404);
    expect(reply.error).toEqual({ code: 404, title: 'Not Found', description: 'The resource could not be found.' });
    expect(reply.headers['openstack-request-id']).toMatch(/^req-/);
  });

  test.each([
    ['PUT', '/v1/nodes', 'GET, POST, HEAD'],
    ['POST', '/v1/nodes/n1', 'GET, PATCH, DELETE, HEAD'],
    ['GET', '/v1/nodes/n1/states/provision', 'PUT'],
    ['DELETE', '/v1/nodes/n1/vifs', 'GET, POST, HEAD'],
    ['POST', '/v1', 'GET, HEAD'],
    ['OPTIONS', '/v1/ports', 'GET, POST, HEAD'],
  ])('%s %s is 405 and names what is allowed', async (method, path, allow) => {
    const reply = await api.call(method, path);
    expect(reply.status).toBe(405);
    expect(reply.headers['allow']).toBe(allow);
    expect(reply.error).toMatchObject({ code: 405, title: 'Method Not Allowed' });
  });

  test('below the version that brought the path is 404', async () => {
    for (const [path, version] of [['/v1/conductors', '1.48'], ['/v1/nodes/n1/traits', '1.36'], ['/v1/nodes/n1/history', '1.77'], ['/v1/nodes/n1/vifs', '1.27']] as const) expect((await api.call('GET', path, { version })).status).toBe(404);
  });

  test('HEAD is answered as GET without the body', async () => {
    expect(await api.call('HEAD', '/v1/nodes/n1')).toMatchObject({ status: 200, body: '' });
  });

  test('for a reason of our own is 500 without its words', async () => {
    const { validate } = api.workflow;
    api.workflow.validate = () => Promise.reject(new Error('secret /path/to/file'));
    try {
      const reply = await api.call('GET', '/v1/nodes/n1/validate');
      expect(reply.status).toBe(500);
      expect(reply.error).toEqual({ faultcode: 'Server', faultstring: `Internal error. The conductor's log has the reason under ${reply.headers['openstack-request-id']}.`, debuginfo: null });
    } finally {
      api.workflow.validate = validate;
    }
  });

  test('of an unknown node is 404 with Ironic\'s words, for every resource of a node', async () => {
    for (const [method, path, body] of [
      ['GET', '/v1/nodes/nope'],
      ['PATCH', '/v1/nodes/nope', [{ op: 'add', path: '/extra/a', value: 1 }]],
      ['DELETE', '/v1/nodes/nope'],
      ['GET', '/v1/nodes/nope/states'],
      ['PUT', '/v1/nodes/nope/states/power', { target: 'power on' }],
      ['PUT', '/v1/nodes/nope/states/provision', { target: 'manage' }],
      ['PUT', '/v1/nodes/nope/maintenance', {}],
      ['DELETE', '/v1/nodes/nope/maintenance'],
      ['GET', '/v1/nodes/nope/validate'],
      ['GET', '/v1/nodes/nope/management/boot_device'],
      ['GET', '/v1/nodes/nope/management/boot_device/supported'],
      ['GET', '/v1/nodes/nope/history'],
      ['GET', '/v1/nodes/nope/traits'],
      ['PUT', '/v1/nodes/nope/traits/CUSTOM_A'],
      ['GET', '/v1/nodes/nope/vifs'],
      ['GET', '/v1/nodes/nope/ports'],
      ['GET', '/v1/ports?node=nope'],
    ] as const) {
      const reply = await api.call(method, path, { body });
      expect([path, reply.status, reply.error?.faultstring]).toEqual([path, 404, 'Node nope could not be found.']);
    }
  });
});
