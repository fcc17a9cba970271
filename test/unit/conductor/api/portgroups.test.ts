import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
let node: NodeRow;
let other: NodeRow;
beforeEach(async () => {
  api = await startApi();
  node = await api.db.nodes.create(newNode({ name: 'n1' }));
  other = await api.db.nodes.create(newNode({ name: 'n2' }));
});
afterEach(() => api.close());

const create = (more: object = {}): Promise<Reply> => api.call('POST', '/v1/portgroups', { body: { node_uuid: node.uuid, ...more } });
const uuidsIn = (reply: Reply, member = 'portgroups'): string[] => (reply.body as Record<string, { uuid: string }[]>)[member]?.map(({ uuid }) => uuid) ?? [];
const uuidOf = (reply: Reply): string => (reply.body as { uuid: string }).uuid;
const patch = (ident: string, op: string, path: string, value?: unknown): Promise<Reply> => api.call('PATCH', `/v1/${ident}`, { body: [{ op, path, ...(value === undefined ? {} : { value }) }] });

describe('a port group', () => {
  test('is found by UUID and by name, below its node by the name of the node too, and shows its ports', async () => {
    const uuid = uuidOf(await create({ name: 'bond0' }));
    uuidOf(await api.call('POST', '/v1/portgroups', { body: { node_uuid: other.uuid } }));
    const port = uuidOf(await api.call('POST', '/v1/ports', { body: { node_uuid: node.uuid, address: '52:54:00:00:00:01', portgroup_uuid: uuid } }));
    for (const ident of [uuid, uuid.toUpperCase(), 'bond0']) expect((await api.call('GET', `/v1/portgroups/${ident}`)).body).toMatchObject({ uuid, mode: 'active-backup', ports: [{ href: `${api.url}/v1/portgroups/${uuid}/ports` }, {}] });
    for (const path of ['/v1/nodes/n1/portgroups', '/v1/nodes/n1/portgroups/detail', '/v1/portgroups?node=n1']) expect(uuidsIn(await api.call('GET', path))).toEqual([uuid]);
    for (const path of ['/v1/portgroups/bond0/ports', `/v1/portgroups/${uuid}/ports/detail`, '/v1/ports?portgroup=bond0']) expect(uuidsIn(await api.call('GET', path), 'ports')).toEqual([port]);
    expect((await api.call('GET', `/v1/ports/${port}`)).body).toMatchObject({ portgroup_uuid: uuid });
    expect((await api.call('GET', '/v1/ports?fields=portgroup_uuid')).body).toMatchObject({ ports: [{ portgroup_uuid: uuid }] });
  });

  test('with ports is not deleted, and not with a 409, which clients would repeat; without them it is', async () => {
    const uuid = uuidOf(await create());
    const port = uuidOf(await api.call('POST', '/v1/ports', { body: { node_uuid: node.uuid, address: '52:54:00:00:00:01', portgroup_uuid: uuid } }));
    expect(await api.call('DELETE', `/v1/portgroups/${uuid}`)).toMatchObject({ status: 400, error: { faultstring: `Cannot complete the requested action because portgroup ${uuid} contains ports.` } });
    expect((await patch(`ports/${port}`, 'remove', '/portgroup_uuid')).body).toMatchObject({ portgroup_uuid: null });
    expect(await api.call('DELETE', `/v1/portgroups/${uuid}`)).toMatchObject({ status: 204, body: '' });
    expect((await api.call('GET', `/v1/portgroups/${uuid}`)).status).toBe(404);
  });

  test('takes ports of its own node only, and none that boot by themselves where it forbids that', async () => {
    const uuid = uuidOf(await create({ standalone_ports_supported: 'no' }));
    const attempt = (more: object): Promise<Reply> => api.call('POST', '/v1/ports', { body: { node_uuid: node.uuid, address: '52:54:00:00:00:01', portgroup_uuid: uuid, ...more } });
    expect((await attempt({ node_uuid: other.uuid })).error?.faultstring).toMatch(/different node/);
    expect((await attempt({ portgroup_uuid: randomUUID() })).status).toBe(400);
    expect((await attempt({ pxe_enabled: true })).error?.faultstring).toMatch(/standalone ports/);
    expect((await attempt({ pxe_enabled: false })).status).toBe(201);
  });

  test('keeps what a patch does not name; what is wrong, taken or read-only is refused', async () => {
    const uuid = uuidOf(await create({ name: 'a', address: '52:54:00:AA:00:01', mode: '802.3ad', extra: { x: 1 } }));
    await create({ name: 'b', address: '52:54:00:aa:00:02' });
    expect((await patch(`portgroups/${uuid}`, 'add', '/properties/miimon', 100)).body).toMatchObject({ name: 'a', address: '52:54:00:aa:00:01', mode: '802.3ad', properties: { miimon: 100 }, extra: { x: 1 }, updated_at: expect.any(String) });
    for (const [path, value, status] of [['/name', 'b', 409], ['/address', '52:54:00:AA:00:02', 409], ['/name', 'no spaces', 400], ['/name', 'detail', 400], ['/mode', null, 400], ['/internal_info', {}, 400], ['/node_uuid', other.uuid, 400]] as const) {
      expect([path, (await patch(`portgroups/${uuid}`, 'replace', path, value)).status]).toEqual([path, status]);
    }
    await api.db.nodes.reserve(node.id, 'host-2');
    expect([(await patch(`portgroups/${uuid}`, 'add', '/extra/y', 1)).status, (await api.call('DELETE', `/v1/portgroups/${uuid}`)).status, (await create()).status]).toEqual([409, 409, 409]);
  });

  test('goes with its node', async () => {
    const uuid = uuidOf(await create());
    await api.call('DELETE', '/v1/nodes/n1');
    expect((await api.call('GET', `/v1/portgroups/${uuid}`)).status).toBe(404);
  });
});

describe('a list of port groups', () => {
  test('is read page by page by `next`, which keeps every filter', async () => {
    const made: string[] = [];
    for (const name of ['c', 'a', 'b']) made.push(uuidOf(await create({ name })));
    await api.call('POST', '/v1/portgroups', { body: { node_uuid: other.uuid, name: 'z' } });
    const names: unknown[] = [];
    for (let path: string | undefined = '/v1/portgroups?node=n1&limit=1&sort_key=name&sort_dir=desc&fields=name'; path !== undefined; ) {
      const page: { portgroups: { name: string }[]; next?: string } = (await api.call('GET', path)).body as { portgroups: { name: string }[]; next?: string };
      names.push(...page.portgroups.map(({ name }) => name));
      path = page.next?.slice(api.url.length);
    }
    expect(names).toEqual(['c', 'b', 'a']);
    expect(made).toHaveLength(3);
  });
});
