import { afterEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, VERSIONS, cli, fault, nodeInState, type Answer, type ReceivedRequest } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const endpoint = (): string[] => ['--os-endpoint', service.url];
const unsupported = (maximum: number): Answer => ({
  status: 406,
  headers: VERSIONS(maximum),
  body: { error_message: JSON.stringify({ code: 406, title: 'Not Acceptable', description: `Version 1.116 was requested but the minor version is not supported by this service. The supported version range is: [1.1, 1.${maximum}].` }) },
});
/** A service that knows microversions up to `maximum`. */
const upTo = (maximum: number, answer: (request: ReceivedRequest) => Answer) => (request: ReceivedRequest) =>
  request.version !== undefined && Number(request.version.slice(2)) > maximum ? unsupported(maximum) : answer(request);

describe('retries', () => {
  const locked = fault(409, 'Node gold-1 is locked by host x, please retry after the current operation is completed.');

  test('a locked node is tried again until it is free, and the person is told', async () => {
    let left = 2;
    service = await ServiceOfTests.start(() => (left-- > 0 ? locked : { status: 202 }));
    const result = await cli(['node', 'manage', 'gold-1', ...endpoint()]);
    expect(result).toMatchObject({ exitCode: 0, stdout: '' });
    expect(result.stderr).toBe([1, 2].map((tries) => `Node gold-1 is locked by host x, please retry after the current operation is completed; trying again in 0 s (${tries} of 5)\n`).join(''));
    expect(service.received.map(({ body }) => body)).toEqual(Array(3).fill({ target: 'manage' }));
  });

  test('by default it is tried five times more, as by the stock client', async () => {
    service = await ServiceOfTests.start(() => locked);
    expect((await cli(['node', 'manage', 'gold-1', ...endpoint()])).exitCode).toBe(5);
    expect(service.received).toHaveLength(6);
  });

  test('a read whose connection is cut is repeated, a write is not: it may have arrived', async () => {
    let cuts = 1;
    service = await ServiceOfTests.start(() => (cuts-- > 0 ? { destroy: true } : { body: { nodes: [] } }));
    expect((await cli(['node', 'list', ...endpoint()])).exitCode).toBe(0);
    cuts = 1;
    const result = await cli(['node', 'manage', 'gold-1', ...endpoint()]);
    expect(result.exitCode).toBe(6);
    expect(result.stderr).toContain('the connection was cut');
    expect(service.lines.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
  });
});

describe('microversions', () => {
  test('the newest that both know is spoken: the maximum is read from the refusal', async () => {
    service = await ServiceOfTests.start(upTo(82, () => ({ body: { nodes: [] } })));
    const result = await cli(['node', 'list', ...endpoint()]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(service.received.map(({ version }) => version)).toEqual(['1.116', '1.82']);
  });

  test('a service that does not tell it in the refusal is asked at /v1 without a version', async () => {
    service = await ServiceOfTests.start((request) => {
      if (request.path === '/v1') return { headers: VERSIONS(61), body: { id: 'v1' } };
      return request.version === '1.61' ? { body: { nodes: [] } } : { status: 406, body: { error_message: '{"faultstring": "no"}' } };
    });
    expect((await cli(['node', 'list', ...endpoint()])).exitCode).toBe(0);
    expect(service.received.map(({ path, version }) => [path, version])).toEqual([['/v1/nodes', '1.116'], ['/v1', undefined], ['/v1/nodes', '1.61']]);
  });

  test('once negotiated it is kept for the requests that follow', async () => {
    let polls = 0;
    service = await ServiceOfTests.start(upTo(82, ({ method }) => (method === 'PUT' ? { status: 202 } : { body: nodeInState(polls++ < 1 ? 'verifying' : 'manageable') })));
    expect((await cli(['node', 'manage', 'gold-1', '--wait', '--poll-interval', '0.01', ...endpoint()])).exitCode).toBe(0);
    expect(service.received.map(({ version }) => version)).toEqual(['1.116', '1.82', '1.82', '1.82']);
  });

  test('a version asked for is spoken as it is, and its refusal is final', async () => {
    service = await ServiceOfTests.start(upTo(82, () => ({ body: { nodes: [] } })));
    expect((await cli(['node', 'list', ...endpoint(), '--os-baremetal-api-version', '1.34'])).exitCode).toBe(0);
    const result = await cli(['node', 'list', ...endpoint()], { env: { OS_BAREMETAL_API_VERSION: '1.110' } });
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain('The supported version range is: [1.1, 1.82]');
    expect(service.received.map(({ version }) => version)).toEqual(['1.34', '1.110']);
  });

  test('a snapshot is not asked of a service that is too old for it', async () => {
    service = await ServiceOfTests.start(upTo(115, () => ({ status: 202 })));
    const result = await cli(['node', 'snapshot', 'gold-1', '--image', '0a1b2c3d-0000-4000-8000-000000000001', ...endpoint()]);
    expect(result).toMatchObject({ exitCode: 3, stdout: '' });
    expect(result.stderr).toBe(`baremetal: a snapshot needs API version 1.116, but the service at ${service.url} knows up to 1.115\n`);
    expect(service.received.map(({ version }) => version)).toEqual(['1.116']);
  });

  test('a service that only knows newer versions is named as such', async () => {
    service = await ServiceOfTests.start(() => ({ status: 406, headers: { ...VERSIONS(300), 'X-OpenStack-Ironic-API-Minimum-Version': '1.200' }, body: { error_message: '{}' } }));
    const result = await cli(['node', 'list', ...endpoint()]);
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain('the service speaks API 1.200 and later; this client knows up to 1.116');
  });
});
