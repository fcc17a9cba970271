import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
let node: NodeRow;
beforeEach(async () => {
  api = await startApi();
  node = await api.db.nodes.create(newNode({ name: 'n1' }));
});
afterEach(() => api.close());

const create = (body: object, version = '1.116'): Promise<Reply> => api.call('POST', '/v1/ports', { version, body: { node_uuid: node.uuid, address: '52:54:00:AB:CD:01', ...body } });
const portsOf = (reply: Reply): Record<string, unknown>[] => (reply.body as { ports: Record<string, unknown>[] }).ports;

describe('a port', () => {
  test('is created with its address in lower case: 201 and its address', async () => {
    const reply = await create({ extra: { a: 1 } });
    expect(reply.status).toBe(201);
    const { uuid } = reply.body as { uuid: string };
    expect(reply.headers['location']).toBe(`${api.url}/v1/ports/${uuid}`);
    expect(reply.body).toMatchObject({ address: '52:54:00:ab:cd:01', node_uuid: node.uuid, extra: { a: 1 }, pxe_enabled: true });
    expect((await api.call('GET', `/v1/ports/${uuid}`)).body).toEqual(reply.body);
    expect(Object.keys((await api.call('GET', `/v1/ports/${uuid}`, { version: '1.17' })).body as object)).toHaveLength(7);
    expect(Object.keys((await api.call('GET', `/v1/ports/${uuid}?fields=address`)).body as object)).toEqual(['address', 'links']);
  });

  test.each([
    ['a bad address', { address: 'nope' }, 400],
    ['no address', { address: undefined }, 400],
    ['an unknown node', { node_uuid: randomUUID() }, 400],
    ['no node', { node_uuid: undefined }, 400],
    ['two nodes', { node_ident: 'n1' }, 400],
    ['an unknown field', { bogus: 1 }, 400],
    ['a port group', { portgroup_uuid: randomUUID() }, 400],
  ])('with %s is refused', async (_case, body, status) => {
    expect((await create(body)).status).toBe(status);
    expect(await api.db.ports.list({})).toEqual([]);
  });

  test('with an address that another has is 409; of a locked node 409; with a field that is too new 406', async () => {
    await create({});
    expect((await create({ address: '52:54:00:ab:CD:01' })).error?.faultstring).toBe('A port with MAC address 52:54:00:ab:cd:01 already exists.');
    expect((await create({ address: '52:54:00:ab:cd:02', physical_network: 'x' }, '1.33')).status).toBe(406);
    expect((await create({ address: '52:54:00:ab:cd:02', node_uuid: undefined, node_ident: 'n1' }, '1.93')).status).toBe(406);
    expect((await create({ address: '52:54:00:ab:cd:02', node_uuid: undefined, node_ident: 'n1' })).status).toBe(201);
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await create({ address: '52:54:00:ab:cd:03' })).status).toBe(409);
  });

  test('is listed with two members and links, by node and by address, and in detail', async () => {
    const other = await api.db.nodes.create(newNode({ name: 'n2' }));
    await create({});
    await create({ address: '52:54:00:ab:cd:02', node_uuid: other.uuid });
    expect(portsOf(await api.call('GET', '/v1/ports')).map((port) => Object.keys(port))).toEqual([['uuid', 'address', 'links'], ['uuid', 'address', 'links']]);
    const addresses = async (path: string): Promise<unknown[]> => portsOf(await api.call('GET', path)).map(({ address }) => address);
    expect(await addresses('/v1/ports?node=n2')).toEqual(['52:54:00:ab:cd:02']);
    expect(await addresses(`/v1/ports?node_uuid=${node.uuid}`)).toEqual(['52:54:00:ab:cd:01']);
    expect(await addresses('/v1/ports?address=52:54:00:AB:CD:02')).toEqual(['52:54:00:ab:cd:02']);
    expect(await addresses('/v1/nodes/n1/ports')).toEqual(['52:54:00:ab:cd:01']);
    expect(await addresses('/v1/ports?sort_key=address&sort_dir=desc&limit=1')).toEqual(['52:54:00:ab:cd:02']);
    expect(portsOf(await api.call('GET', '/v1/ports/detail')).map((port) => port['node_uuid'])).toEqual([node.uuid, other.uuid]);
    expect((await api.call('GET', '/v1/ports?address=nope')).status).toBe(400);
    expect((await api.call('GET', '/v1/ports?bogus=1')).status).toBe(400);
  });

  test('has a name that is one: nothing that leads elsewhere, and never another port\'s UUID', async () => {
    const first = (await create({ name: 'eth-0.a' })).body as { uuid: string };
    expect((await api.call('GET', '/v1/ports/eth-0.a')).body).toMatchObject({ uuid: first.uuid });
    for (const name of [first.uuid, 'detail', 'a/b', 'a b', '']) {
      expect([name, (await create({ name, address: '52:54:00:ab:cd:02' })).status]).toEqual([name, 400]);
      expect([name, (await api.call('PATCH', `/v1/ports/${first.uuid}`, { body: [{ op: 'replace', path: '/name', value: name }] })).status]).toEqual([name, 400]);
    }
    // a row of an older version
    const late = '00000000-0000-4000-8000-0000000000aa';
    await api.db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:08', name: late });
    await api.db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:09', uuid: late });
    expect((await api.call('GET', `/v1/ports/${late}`)).body).toMatchObject({ address: '52:54:00:00:00:09' });
  });

  test('is patched and deleted under the lock of its node', async () => {
    const { uuid } = (await create({ extra: { a: 1 } })).body as { uuid: string };
    const patch = (op: string, path: string, value?: unknown): Promise<Reply> => api.call('PATCH', `/v1/ports/${uuid}`, { body: [{ op, path, ...(value === undefined ? {} : { value }) }] });
    expect((await patch('replace', '/address', '52:54:00:AA:AA:AA')).body).toMatchObject({ address: '52:54:00:aa:aa:aa', extra: { a: 1 } });
    expect((await patch('remove', '/extra/a')).body).toMatchObject({ extra: {} });
    for (const [op, path, value] of [['replace', '/uuid', randomUUID()], ['replace', '/address', 'x'], ['remove', '/address'], ['remove', '/extra/missing'], ['add', '/bogus', 1], ['replace', '/node_uuid', randomUUID()]] as const) {
      expect([path, (await patch(op, path, value)).status]).toEqual([path, 400]);
    }
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await patch('add', '/extra/b', 1)).status).toBe(409);
    expect((await api.call('DELETE', `/v1/ports/${uuid}`)).status).toBe(409);
    await api.db.nodes.release(node.id, 'host-2');
    expect(await api.call('DELETE', `/v1/ports/${uuid}`)).toMatchObject({ status: 204, body: '' });
    expect((await api.call('GET', `/v1/ports/${uuid}`)).error?.faultstring).toBe(`Port ${uuid} could not be found.`);
  });

  test('of a node in use keeps its wiring; during a snapshot it stays as it is', async () => {
    const used = await api.db.nodes.create(newNode({ name: 'used', provisionState: 'active' }));
    const { uuid } = (await create({ node_uuid: used.uuid })).body as { uuid: string };
    expect((await api.call('PATCH', `/v1/ports/${uuid}`, { body: [{ op: 'replace', path: '/pxe_enabled', value: false }] })).status).toBe(400);
    const busy = await api.db.nodes.create(newNode({ name: 'busy', provisionState: 'snapshot wait' }));
    const port = await api.db.ports.create({ nodeId: busy.id, address: '52:54:00:00:00:09' });
    expect((await api.call('DELETE', `/v1/ports/${port.uuid}`)).status).toBe(409);
    expect((await api.call('PATCH', `/v1/ports/${port.uuid}`, { body: [{ op: 'replace', path: '/address', value: '52:54:00:00:00:10' }] })).status).toBe(409);
  });
});
