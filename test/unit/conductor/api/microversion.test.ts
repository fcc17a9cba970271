import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

describe('the version of a request', () => {
  test.each([
    ['no header', null, {}, '1.1'],
    ['Ironic\'s header', '1.78', {}, '1.78'],
    ['the newest by name', 'latest', {}, '1.116'],
    ['OpenStack\'s header', null, { 'OpenStack-API-Version': 'baremetal 1.50' }, '1.50'],
    ['OpenStack\'s header among other services', null, { 'OpenStack-API-Version': 'compute 2.90, baremetal latest' }, '1.116'],
    ['OpenStack\'s header of another service only', '1.33', { 'OpenStack-API-Version': 'compute 2.90' }, '1.33'],
  ])('by %s', async (_case, version, headers, expected) => {
    const reply = await api.call('GET', '/v1/nodes', { version, headers });
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({ 'x-openstack-ironic-api-version': expected, 'x-openstack-ironic-api-minimum-version': '1.1', 'x-openstack-ironic-api-maximum-version': '1.116', 'openstack-request-id': expect.stringMatching(/^req-[0-9a-f-]{36}$/) });
  });

  test.each(['1.117', '1.0', '2.1', 'newest', '1', '1.1.1', '-1.1'])('%s is 406 and tells the range', async (version) => {
    const reply = await api.call('GET', '/v1/nodes', { version });
    expect(reply.status).toBe(406);
    expect(reply.headers).toMatchObject({ 'x-openstack-ironic-api-minimum-version': '1.1', 'x-openstack-ironic-api-maximum-version': '1.116', 'openstack-request-id': expect.any(String) });
    expect(reply.error).toMatchObject({ code: 406, title: 'Not Acceptable', description: expect.any(String) });
  });

  test('is found in the documents of / and /v1 without any header', async () => {
    expect((await api.call('GET', '/', { version: null })).body).toMatchObject({ default_version: { id: 'v1', min_version: '1.1', version: '1.116' }, versions: [{ id: 'v1', status: 'CURRENT' }] });
    for (const path of ['/v1', '/v1/']) expect((await api.call('GET', path, { version: null })).body).toMatchObject({ id: 'v1', version: { min_version: '1.1', version: '1.116' }, nodes: [{ href: `${api.url}/v1/nodes/`, rel: 'self' }, { rel: 'bookmark' }] });
    expect(Object.keys((await api.call('GET', '/v1', { version: '1.48' })).body as object)).not.toContain('conductors');
    expect(Object.keys((await api.call('GET', '/v1', { version: '1.49' })).body as object)).toContain('conductors');
  });
});
