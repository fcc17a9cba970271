import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
let node: NodeRow;
beforeEach(async () => {
  api = await startApi();
  node = await api.db.nodes.create(newNode({ name: 'n1', powerState: 'power off' }));
});
afterEach(() => api.close());

const connector = (more: object = {}): Promise<Reply> => api.call('POST', '/v1/volume/connectors', { body: { node_uuid: node.uuid, type: 'iqn', connector_id: 'iqn.1', ...more } });
const target = (more: object = {}): Promise<Reply> => api.call('POST', '/v1/volume/targets', { body: { node_uuid: node.uuid, volume_type: 'iscsi', volume_id: 'v1', boot_index: 0, ...more } });
const pathOf = (reply: Reply): string => (reply.headers['location'] ?? '').slice(api.url.length);

describe('volume connectors and targets', () => {
  test('stand below their node too, by the name of the node; the links that name them lead there', async () => {
    const paths = [pathOf(await connector()), pathOf(await target())];
    expect(paths).toEqual([expect.stringMatching(/^\/v1\/volume\/connectors\//), expect.stringMatching(/^\/v1\/volume\/targets\//)]);
    const links = (await api.call('GET', '/v1/nodes/n1/volume')).body as Record<'connectors' | 'targets', { href: string }[]>;
    for (const kind of ['connectors', 'targets'] as const) {
      for (const { href } of links[kind]) expect((await api.call('GET', href.slice(api.url.length))).body).toMatchObject({ [kind]: [{ node_uuid: node.uuid }] });
    }
    expect((await api.call('GET', '/v1/nodes/nobody/volume')).status).toBe(404);
  });

  test('change and go only while the server is off: 400, because a server does not go off by itself', async () => {
    const path = pathOf(await connector());
    const patch = (): Promise<Reply> => api.call('PATCH', path, { body: [{ op: 'add', path: '/extra/a', value: 1 }] });
    for (const powerState of ['power on', null] as const) {
      await api.db.nodes.update(node.id, { powerState });
      expect([(await patch()).status, (await api.call('DELETE', path)).status]).toEqual([400, 400]);
    }
    expect((await patch()).error?.faultstring).toBe(`The requested action "volume connector update" can not be performed on node "${node.uuid}" while it is in state "None".`);
    await api.db.nodes.update(node.id, { powerState: 'power off' });
    expect((await patch()).body).toMatchObject({ extra: { a: 1 }, connector_id: 'iqn.1' });
    expect((await api.call('DELETE', path)).status).toBe(204);
  });

  test('are refused when another one has the connector, or the place in the boot order', async () => {
    await connector();
    await target();
    expect((await connector()).error?.faultstring).toBe('A volume connector with type iqn and connector ID iqn.1 already exists.');
    expect((await target({ volume_id: 'v2' })).error?.faultstring).toBe("A volume target with boot index '0' for the same node already exists.");
    const path = pathOf(await target({ boot_index: 1 }));
    expect((await api.call('PATCH', path, { body: [{ op: 'replace', path: '/boot_index', value: 0 }] })).status).toBe(409);
    expect((await target({ boot_index: 2 ** 40 })).status).toBe(400);
  });

  test('of a volume show no secret of it, and keep it through a patch', async () => {
    const path = pathOf(await target({ properties: { auth_password: 'correct horse', target_iqn: 'q' } }));
    expect((await api.call('GET', path)).body).toMatchObject({ properties: { auth_password: '******', target_iqn: 'q' } });
    await api.call('PATCH', path, { body: [{ op: 'add', path: '/properties/target_lun', value: 1 }] });
    expect((await api.db.volumeTargets.find(path.split('/').at(-1) ?? ''))?.properties).toEqual({ auth_password: 'correct horse', target_iqn: 'q', target_lun: 1 });
    expect(JSON.stringify((await api.call('GET', '/v1/volume/targets?detail=True')).body)).not.toContain('correct horse');
  });
});
