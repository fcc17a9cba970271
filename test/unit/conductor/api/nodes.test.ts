import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NewNode } from '../../../../conductor/db/node-store.ts';
import { stepFrom } from '../../../../state-machine/provision-states.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.close());

type Node = Record<string, unknown>;
const nodesOf = (reply: Reply): Node[] => (reply.body as { nodes: Node[] }).nodes;
const create = (body: object = {}): Promise<Reply> => api.call('POST', '/v1/nodes', { body: { driver: 'fake-hardware', ...body } });
const store = (more: Partial<NewNode>): ReturnType<ApiUnderTest['db']['nodes']['create']> => api.db.nodes.create(newNode(more));

describe('creating a node', () => {
  test('answers 201, its address and all of it, with the defaults of the hardware type', async () => {
    const uuid = randomUUID();
    const reply = await create({ uuid, name: 'n1', properties: { cpus: 4 }, driver_info: { a: 1 }, snapshot_interface: 'no-snapshot' });
    expect(reply.status).toBe(201);
    expect(reply.headers['location']).toBe(`${api.url}/v1/nodes/${uuid}`);
    expect(reply.body).toMatchObject({ uuid, name: 'n1', provision_state: 'enroll', properties: { cpus: 4 }, bios_interface: 'fake', network_interface: 'noop', snapshot_interface: 'no-snapshot', conductor: 'host-1' });
    expect((await api.call('GET', '/v1/nodes/n1')).body).toEqual(reply.body);
  });

  test('below 1.11 makes it available, which below 1.2 reads null', async () => {
    expect((await api.call('POST', '/v1/nodes', { version: '1.10', body: { driver: 'fake-hardware', name: 'old' } })).body).toMatchObject({ provision_state: 'available' });
    expect((await api.call('POST', '/v1/nodes', { version: null, body: { driver: 'fake-hardware' } })).body).toMatchObject({ provision_state: null });
  });

  test.each([
    ['no driver', { driver: undefined }, 400],
    ['an unknown driver', { driver: 'nope' }, 400],
    ['an unknown interface', { power_interface: 'nope' }, 400],
    ['an unknown field', { bogus: 1 }, 400],
    ['a read-only field', { provision_state: 'active' }, 400],
    ['a name like a UUID', { name: randomUUID() }, 400],
    ['a name with a slash', { name: 'a/b' }, 400],
    ['a reserved name', { name: 'detail' }, 400],
    ['a UUID that is none', { uuid: 'x' }, 400],
    ['properties that are no object', { properties: [] }, 400],
    ['a boolean that is none', { maintenance: 'perhaps' }, 400],
    ['a foreign conductor group', { conductor_group: 'elsewhere' }, 400],
    ['a shard, which does not exist here', { shard: 's' }, 400],
  ])('with %s is refused', async (_case, body, status) => {
    const reply = await create(body);
    expect([reply.status, reply.error?.faultcode]).toEqual([status, 'Client']);
    expect(nodesOf(await api.call('GET', '/v1/nodes'))).toEqual([]);
  });

  test('with a field newer than the version is 406', async () => {
    for (const [version, body] of [['1.115', { snapshot_interface: 'fake' }], ['1.50', { description: 'x' }], ['1.4', { name: 'x' }], ['1.20', { resource_class: 'x' }]] as const) {
      expect((await api.call('POST', '/v1/nodes', { version, body: { driver: 'fake-hardware', ...body } })).status).toBe(406);
    }
  });

  test('with a name, UUID or instance that another has is 409', async () => {
    const [uuid, instance] = [randomUUID(), randomUUID()];
    await create({ uuid, name: 'n1', instance_uuid: instance });
    expect((await create({ name: 'n1' })).error?.faultstring).toBe('A node with name n1 already exists.');
    expect((await create({ uuid: uuid.toUpperCase() })).error?.faultstring).toBe(`A node with UUID ${uuid} already exists.`);
    expect((await create({ instance_uuid: instance })).status).toBe(409);
  });
});

describe('a node', () => {
  test.each([
    [null, 22],
    ['1.78', 62],
    ['1.115', 69],
    ['1.116', 70],
  ])('at version %s has %d members', async (version, count) => {
    const { uuid } = await store({ name: 'n1' });
    expect(Object.keys((await api.call('GET', `/v1/nodes/${uuid}`, { version })).body as object)).toHaveLength(count);
  });

  test('shows no secret, at no depth, and not its token', async () => {
    await store({
      name: 'n1',
      driverInfo: { redfish_password: 'pw1', redfish_username: 'root', nested: [{ api_token: 'pw2' }], ssh_key: 'pw3', unset_password: null },
      instanceInfo: { image_url: 'http://x/?sig=pw4', configdrive: { user_data: 'pw5' }, image_source: 'img' },
      agentToken: 'pw6',
      agentUrl: 'https://10.0.0.1:9999',
    });
    for (const path of ['/v1/nodes/n1', '/v1/nodes/detail', '/v1/nodes?detail=true', '/v1/nodes/n1?fields=driver_info,instance_info,driver_internal_info']) {
      expect(JSON.stringify((await api.call('GET', path)).body)).not.toMatch(/pw\d/);
    }
    expect((await api.call('GET', '/v1/nodes/n1')).body).toMatchObject({
      driver_info: { redfish_password: '******', redfish_username: 'root', nested: [{ api_token: '******' }], ssh_key: '******', unset_password: null },
      instance_info: { image_url: '******', configdrive: '******', image_source: 'img' },
      driver_internal_info: { agent_url: 'https://10.0.0.1:9999' },
    });
  });

  test('shows the address of its image without the signature and the password in it', async () => {
    const shown = async (image_source: string): Promise<unknown> => {
      const { uuid } = await store({ instanceInfo: { image_source, image_checksum: `${image_source}.sums` } });
      return ((await api.call('GET', `/v1/nodes/${uuid}`)).body as { instance_info: unknown }).instance_info;
    };
    expect(await shown('https://s3.test/a.qcow2?X-Amz-Signature=pw1')).toEqual({ image_source: 'https://s3.test/a.qcow2?******', image_checksum: 'https://s3.test/a.qcow2?******' });
    expect(await shown('http://u:p@w2@s3.test/a')).toEqual({ image_source: 'http://******@s3.test/a', image_checksum: 'http://******@s3.test/a.sums' });
    expect(await shown('http://s3.test/a@b')).toMatchObject({ image_source: 'http://s3.test/a@b' });
  });

  test('shows its latest snapshot', async () => {
    const node = await store({ name: 'n1', provisionState: 'active', bootBack: 'done' });
    const imageRef = randomUUID();
    const stored = await api.db.nodes.storeStep(node.id, stepFrom('active', { type: 'snapshot' })!, { history: { conductor: 'c', user: 'u' }, snapshot: { uuid: randomUUID(), requestedBy: 'admin', disks: [{ imageRef, imageName: 'i' }] } });
    if (!stored.stored || !stored.snapshot) throw new Error('not stored');
    const { id, startedAt } = stored.snapshot;
    await api.db.snapshots.setPhase(id, 'streaming');
    await api.db.snapshots.update(id, { bytesDone: 5_000_000_000, bytesTotal: 6_000_000_000, step: 'converting', poweredOffAt: startedAt, credentialHash: 'hash-of-credential' });
    const show = async (): Promise<unknown> => ((await api.call('GET', '/v1/nodes/n1')).body as { driver_internal_info: { snapshot: unknown } }).driver_internal_info.snapshot;
    expect(await show()).toMatchObject({ image_ref: imageRef, phase: 'streaming', status: 'unfinished', requested_by: 'admin', step: 'converting', bytes_done: 5_000_000_000, bytes_total: 6_000_000_000, finished_at: null, duration_s: null, downtime_s: null, boot_back: 'done', error: null });
    await api.db.snapshots.updateDisk(id, 0, { sizeBytes: 4_999_999_999, osHashAlgo: 'sha512', osHashValue: 'ab' });
    await api.db.snapshots.update(id, { poweredOnAt: new Date(startedAt.getTime() + 12_500) });
    await api.db.snapshots.finish(id, 'done', null);
    expect(await show()).toMatchObject({ status: 'done', phase: 'finished', size_bytes: 4_999_999_999, os_hash_algo: 'sha512', os_hash_value: 'ab', downtime_s: 12.5, duration_s: expect.any(Number) });
    expect(JSON.stringify((await api.call('GET', '/v1/nodes/detail')).body)).toContain('"phase":"finished"');
    expect(JSON.stringify((await api.call('GET', '/v1/nodes/detail')).body)).not.toContain('hash-of-credential');
  });

  test('is found by name from 1.5 only', async () => {
    const { uuid } = await store({ name: 'n1' });
    expect((await api.call('GET', '/v1/nodes/n1', { version: '1.4' })).status).toBe(404);
    expect((await api.call('GET', `/v1/nodes/${uuid.toUpperCase()}`, { version: '1.4' })).status).toBe(200);
  });

  test('has its states', async () => {
    await store({ name: 'n1', provisionState: 'snapshot wait', targetProvisionState: 'active', lastError: 'e' });
    const states = async (version: string): Promise<unknown> => (await api.call('GET', '/v1/nodes/n1/states', { version })).body;
    expect(await states('1.78')).toEqual({ console_enabled: false, last_error: 'e', power_state: null, provision_state: 'snapshot wait', target_power_state: null, target_provision_state: 'active', provision_updated_at: null, raid_config: {}, target_raid_config: {}, boot_mode: null, secure_boot: null });
    expect(Object.keys((await states('1.11')) as object)).toHaveLength(7);
  });
});

describe('a list of nodes', () => {
  test('has six members and links of each, or all, or those asked for', async () => {
    await store({ name: 'n1' });
    const keys = async (query: string, version = '1.78'): Promise<string[]> => Object.keys(nodesOf(await api.call('GET', `/v1/nodes${query}`, { version }))[0] ?? {}).sort();
    expect(await keys('')).toEqual(['instance_uuid', 'links', 'maintenance', 'name', 'power_state', 'provision_state', 'uuid']);
    expect(await keys('', '1.4')).not.toContain('name');
    expect(await keys('?fields=uuid,extra')).toEqual(['extra', 'links', 'uuid']);
    for (const path of ['/detail', '?detail=True']) expect(await keys(path)).toHaveLength(62);
    expect(await keys('?detail=false')).toHaveLength(7);
  });

  test.each([
    ['?limit=0', 400],
    ['?limit=-1', 400],
    ['?limit=many', 400],
    ['?limit=1&limit=2', 400],
    ['?fields=bogus', 400],
    ['?fields=uuid&detail=true', 400],
    ['?sort_key=bogus', 400],
    ['?sort_key=driver_info', 400],
    ['?sort_key=__proto__', 400],
    ['?sort_dir=up', 400],
    ['?provision_state=bogus', 400],
    ['?maintenance=perhaps', 400],
    ['?bogus=1', 400],
    ['?marker=nope', 400],
    [`?marker=${randomUUID()}`, 404],
  ])('with %s is %d', async (query, status) => {
    expect((await api.call('GET', `/v1/nodes${query}`)).status).toBe(status);
  });

  test.each([
    ['?fields=uuid', '1.7'],
    ['?fields=snapshot_interface', '1.115'],
    ['?fields=description', '1.50'],
    ['?detail=true', '1.42'],
    ['?driver=x', '1.15'],
    ['?owner=x', '1.49'],
    ['?provision_state=active', '1.8'],
    ['?sort_key=description', '1.50'],
  ])('with %s at %s is too new: 406', async (query, version) => {
    expect((await api.call('GET', `/v1/nodes${query}`, { version })).status).toBe(406);
  });

  test('is filtered', async () => {
    await store({ name: 'a', provisionState: 'snapshot wait', maintenance: true });
    await store({ name: 'b', driver: 'redfish', instanceUuid: randomUUID(), resourceClass: 'gold' });
    const names = async (query: string): Promise<unknown[]> => nodesOf(await api.call('GET', `/v1/nodes${query}`)).map(({ name }) => name);
    expect(await names('?maintenance=True')).toEqual(['a']);
    expect(await names('?provision_state=snapshot%20wait')).toEqual(['a']);
    expect(await names('?driver=redfish&resource_class=gold&associated=yes')).toEqual(['b']);
    expect(await names('?conductor=host-1&sort_key=name&sort_dir=desc')).toEqual(['b', 'a']);
    expect(await names('?conductor=other')).toEqual([]);
    expect(await names('?shard=s')).toEqual([]);
    expect(await names('?sharded=false')).toEqual(['a', 'b']);
  });

  test('is read page by page by `next`, which keeps every parameter, and ends without one', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await store({ name, maintenance: name !== 'c' });
    const seen: unknown[] = [];
    let path: string | undefined = '/v1/nodes?limit=2&maintenance=true&sort_key=name&sort_dir=desc&fields=name';
    const pages: string[] = [];
    while (path !== undefined) {
      const body: { nodes: Node[]; next?: string } = (await api.call('GET', path)).body as { nodes: Node[]; next?: string };
      expect(Object.keys(body.nodes[0] ?? {})).toEqual(['name', 'links']);
      seen.push(...body.nodes.map(({ name }) => name));
      path = body.next?.slice(api.url.length);
      if (body.next !== undefined) pages.push(body.next);
    }
    expect(seen).toEqual(['e', 'd', 'b', 'a']);
    expect(pages).toHaveLength(1);
    expect(Object.fromEntries(new URL(pages[0]!).searchParams)).toMatchObject({ limit: '2', maintenance: 'true', sort_key: 'name', sort_dir: 'desc', fields: 'name' });
  });

  test('of more than a thousand nodes comes in pages of a thousand, none lost', async () => {
    for (let index = 0; index < 1001; index += 1) await store({ name: `n${index}` });
    const body = (await api.call('GET', '/v1/nodes/detail')).body as { nodes: Node[]; next: string };
    expect(body.nodes).toHaveLength(1000);
    expect(body.next).toContain('limit=1000');
    const rest = (await api.call('GET', body.next.slice(api.url.length))).body as { nodes: Node[]; next?: string };
    expect(rest.nodes.map(({ name }) => name)).toEqual(['n1000']);
    expect(rest.next).toBeUndefined();
  });
});

describe('deleting a node', () => {
  test.each(['enroll', 'manageable', 'available', 'adopt failed'] as const)('in %s is 204, and it is gone', async (provisionState) => {
    await store({ name: 'n1', provisionState });
    expect(await api.call('DELETE', '/v1/nodes/n1')).toMatchObject({ status: 204, body: '' });
    expect((await api.call('GET', '/v1/nodes/n1')).status).toBe(404);
  });

  test('in use is 409 with Ironic\'s words; maintenance lets it go', async () => {
    const node = await store({ name: 'n1', provisionState: 'active' });
    const reply = await api.call('DELETE', '/v1/nodes/n1');
    expect(reply.status).toBe(409);
    expect(reply.error?.faultstring).toMatch(`Can not delete node "${node.uuid}" while it is in provision state "active". Valid provision states to perform deletion are:`);
    await api.db.nodes.update(node.id, { maintenance: true });
    expect((await api.call('DELETE', '/v1/nodes/n1')).status).toBe(204);
  });

  test('with an instance is 409, protected 403, locked 409, under a snapshot 409 even in maintenance', async () => {
    await store({ name: 'associated', instanceUuid: randomUUID() });
    await store({ name: 'protected', protected: true });
    const locked = await store({ name: 'locked' });
    await api.db.nodes.reserve(locked.id, 'host-2');
    await store({ name: 'snapshot', provisionState: 'snapshot wait', maintenance: true });
    const statuses: Record<string, number> = {};
    for (const name of ['associated', 'protected', 'locked', 'snapshot']) statuses[name] = (await api.call('DELETE', `/v1/nodes/${name}`)).status;
    expect(statuses).toEqual({ associated: 409, protected: 403, locked: 409, snapshot: 409 });
    expect((await api.call('DELETE', '/v1/nodes/locked')).error?.faultstring).toBe(`Node ${locked.uuid} is locked by host host-2, please retry after the current operation is completed.`);
    expect((await api.call('GET', '/v1/nodes/locked')).status).toBe(200); // reads never block
  });
});
