import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const keys = async (path: string, version: string): Promise<string[]> => Object.keys((await api.call('GET', path, { version })).body as object);

describe('drivers', () => {
  test('are the enabled hardware types, with their interfaces in detail', async () => {
    const { drivers } = (await api.call('GET', '/v1/drivers', { version: '1.78' })).body as { drivers: Record<string, unknown>[] };
    expect(drivers.map((driver) => [driver['name'], driver['hosts'], Object.keys(driver)])).toEqual([
      ['fake-hardware', ['host-1'], ['name', 'hosts', 'links', 'properties', 'type']],
      ['redfish', ['host-1'], ['name', 'hosts', 'links', 'properties', 'type']],
    ]);
    expect((await api.call('GET', '/v1/drivers?detail=true')).body).toMatchObject({ drivers: [{ default_snapshot_interface: 'fake' }, { default_snapshot_interface: 'agent', enabled_snapshot_interfaces: ['agent', 'no-snapshot'] }] });
    expect((await api.call('GET', '/v1/drivers?type=classic')).body).toEqual({ drivers: [] });
    expect((await api.call('GET', '/v1/drivers?fields=name')).body).toEqual({ drivers: [{ name: 'fake-hardware', links: expect.anything() }, { name: 'redfish', links: expect.anything() }] }); // links as in Ironic: always
  });

  test('show what their version knows', async () => {
    expect(await keys('/v1/drivers/redfish', '1.115')).not.toContain('default_snapshot_interface');
    expect(await keys('/v1/drivers/redfish', '1.116')).toContain('default_snapshot_interface');
    expect(await keys('/v1/drivers/redfish', '1.1')).toEqual(['name', 'hosts', 'links']);
    expect((await api.call('GET', '/v1/drivers?fields=name', { version: '1.76' })).status).toBe(406);
    expect((await api.call('GET', '/v1/drivers?detail=true', { version: '1.29' })).status).toBe(406);
  });

  test('tell their properties; an unknown one is 404', async () => {
    expect((await api.call('GET', '/v1/drivers/redfish/properties')).body).toMatchObject({ redfish_address: expect.any(String) });
    for (const path of ['/v1/drivers/nope', '/v1/drivers/nope/properties']) expect((await api.call('GET', path)).status).toBe(404);
  });
});

describe('conductors', () => {
  test('are listed, shown, and alive while they say so', async () => {
    expect((await api.call('GET', '/v1/conductors')).body).toEqual({ conductors: [{ hostname: 'host-1', conductor_group: '', alive: true, links: expect.any(Array) }] });
    expect((await api.call('GET', '/v1/conductors/host-1')).body).toMatchObject({ hostname: 'host-1', drivers: ['fake-hardware', 'redfish'], alive: true, created_at: expect.stringMatching(/\+00:00$/) });
    expect((await api.call('GET', '/v1/conductors?detail=true')).body).toMatchObject({ conductors: [{ drivers: ['fake-hardware', 'redfish'] }] });
    expect((await api.call('GET', '/v1/conductors/nope')).error?.faultstring).toBe('Conductor nope could not be found.');
  });
});
