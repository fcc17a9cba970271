import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NewNode } from '../../../../conductor/db/node-store.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.close());

const store = async (more: object = {}, row: Partial<NewNode> = {}): Promise<NodeRow> => {
  const reply = await api.call('POST', '/v1/nodes', { body: { driver: 'fake-hardware', name: 'n1', ...more } });
  const created = (await api.db.nodes.find((reply.body as { uuid: string }).uuid))!;
  if (Object.keys(row).length === 0) return created;
  await api.db.nodes.delete(created.id); // a state is given at birth or by a step, never by an update
  return api.db.nodes.create({ ...created, ...row });
};
type Operation = { op: string; path: string; value?: unknown };
const patch = (operations: unknown, options: { version?: string; query?: string; node?: string } = {}): Promise<Reply> => api.call('PATCH', `/v1/nodes/${options.node ?? 'n1'}${options.query ?? ''}`, { body: operations, ...(options.version ? { version: options.version } : {}) });
const set = (path: string, value: unknown): Operation[] => [{ op: 'add', path, value }];

describe('a patch', () => {
  test('changes what it names, keeps what is beside it, and answers with the node', async () => {
    await store({ extra: { keep: 1, go: 2, list: [1, 2] }, driver_info: { redfish_password: 'pw' } });
    const reply = await patch([
      { op: 'add', path: '/extra/new', value: { deep: true } },
      { op: 'replace', path: '/extra/keep', value: 3 },
      { op: 'remove', path: '/extra/go' },
      { op: 'add', path: '/extra/list/-', value: 3 },
      { op: 'add', path: '/properties/a~1b', value: 'slash' },
      { op: 'add', path: '/driver_info/redfish_username', value: 'root' },
      { op: 'replace', path: '/description', value: 'text' },
      { op: 'replace', path: '/automated_clean', value: 'False' },
    ]);
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ extra: { new: { deep: true }, keep: 3, list: [1, 2, 3] }, properties: { 'a/b': 'slash' }, description: 'text', automated_clean: false, updated_at: expect.any(String), reservation: null });
    expect((reply.body as { extra: object }).extra).not.toHaveProperty('go');
    expect((await api.db.nodes.find('n1'))?.driverInfo).toEqual({ redfish_password: 'pw', redfish_username: 'root' }); // the mask was never stored
  });

  test('that removes a field sets it back', async () => {
    await store({ description: 'x', extra: { a: 1 }, deploy_interface: 'fake', snapshot_interface: 'no-snapshot', resource_class: 'gold' });
    const reply = await patch(['description', 'extra', 'snapshot_interface', 'name', 'resource_class'].map((name) => ({ op: 'remove', path: `/${name}` })), {});
    expect(reply.body).toMatchObject({ description: null, extra: {}, snapshot_interface: 'fake', name: null, resource_class: null });
  });

  test.each<[string, unknown]>([
    ['a read-only field', set('/provision_state', 'active')],
    ['the reservation', [{ op: 'remove', path: '/reservation' }]],
    ['the UUID', set('/uuid', randomUUID())],
    ['an unknown field', set('/bogus', 1)],
    ['the traits', set('/traits', ['CUSTOM_A'])],
    ['a test', [{ op: 'test', path: '/name', value: 'n1' }]],
    ['a move', [{ op: 'move', path: '/extra/b', from: '/extra/a' }]],
    ['the removal of what is missing', [{ op: 'remove', path: '/extra/missing' }]],
    ['the replacement of what is missing', [{ op: 'replace', path: '/extra/missing', value: 1 }]],
    ['a parent that is missing', set('/extra/a/b', 1)],
    ['no value', [{ op: 'add', path: '/name' }]],
    ['no operation', []],
    ['no list', { op: 'add' }],
    ['the whole document', [{ op: 'replace', path: '', value: {} }]],
    ['a prototype', set('/extra/__proto__/polluted', 1)],
    ['a wrong type', set('/extra', 'text')],
    ['a wrong name', set('/name', 'a b')],
    ['an unknown driver', set('/driver', 'nope')],
    ['no driver', [{ op: 'remove', path: '/driver' }]],
    ['an unknown interface', set('/power_interface', 'nope')],
    ['an interface of another hardware type', set('/management_interface', 'redfish')],
    ['a description that is too long', set('/description', 'x'.repeat(5000))],
    ['a foreign conductor group', set('/conductor_group', 'elsewhere')],
    ['a reason without its flag', set('/retired_reason', 'old')],
  ])('with %s is 400 and changes nothing', async (_case, operations) => {
    const node = await store();
    const reply = await patch(operations);
    expect(reply.status).toBe(400);
    expect(await api.db.nodes.get(node.id)).toEqual(node);
    expect({}).not.toHaveProperty('polluted');
  });

  test('whose second operation fails changes nothing', async () => {
    await store();
    expect((await patch([...set('/extra/a', 1), { op: 'remove', path: '/extra/missing' }])).error?.faultstring).toMatch("Couldn't apply patch 'remove /extra/missing'");
    expect((await api.db.nodes.find('n1'))?.extra).toEqual({});
  });

  test('of a field newer than the version is 406', async () => {
    await store();
    expect((await patch(set('/snapshot_interface', 'no-snapshot'), { version: '1.115' })).status).toBe(406);
    expect((await patch(set('/description', 'x'), { version: '1.50' })).status).toBe(406);
    expect((await patch(set('/extra/a', 1), { version: '1.44', query: '?reset_interfaces=true' })).status).toBe(406);
  });

  test('of a locked node is 409, and of a free one leaves it free', async () => {
    const node = await store();
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await patch(set('/extra/a', 1))).error?.faultstring).toMatch('is locked by host host-2');
    await api.db.nodes.release(node.id, 'host-2');
    await Promise.all([patch(set('/extra/bogus', 1)), patch(set('/bogus', 1))]);
    expect((await api.db.nodes.get(node.id)).reservation).toBeNull();
  });

  test('to the name or instance of another is 409; to its own name is fine', async () => {
    const instance = randomUUID();
    await store({ name: 'other', instance_uuid: instance });
    await store();
    expect((await patch(set('/name', 'other'))).status).toBe(409);
    expect((await patch(set('/instance_uuid', instance))).status).toBe(409);
    expect((await patch(set('/name', 'n1'))).status).toBe(200);
    expect((await patch(set('/instance_uuid', randomUUID()), { node: 'other' })).status).toBe(409);
    expect((await patch([{ op: 'remove', path: '/instance_uuid' }], { node: 'other' })).body).toMatchObject({ instance_uuid: null });
  });

  test('reads the node again under the lock: of many at once none is lost', async () => {
    await store();
    const replies = await Promise.all(Array.from({ length: 10 }, (_, index) => patch(set(`/extra/k${index}`, index))));
    const accepted = replies.flatMap(({ status }, index) => (status === 200 ? [`k${index}`] : []));
    expect(accepted.length).toBeGreaterThan(0);
    expect(Object.keys((await api.db.nodes.find('n1'))!.extra).sort()).toEqual(accepted.sort());
  });
});

describe('the driver', () => {
  test('can be changed when the interfaces fit it, or are reset', async () => {
    await store();
    expect((await patch(set('/driver', 'redfish'))).status).toBe(400); // power "fake" is none of redfish
    const reply = await patch([...set('/driver', 'redfish'), ...set('/snapshot_interface', 'no-snapshot')], { query: '?reset_interfaces=true' });
    expect(reply.body).toMatchObject({ driver: 'redfish', power_interface: 'redfish', bios_interface: 'no-bios', snapshot_interface: 'no-snapshot' });
    expect((await patch(set('/extra/a', 1), { query: '?reset_interfaces=true' })).status).toBe(400);
  });
});

describe('in its state', () => {
  test.each([
    ['enroll', 200],
    ['manageable', 200],
    ['available', 200],
    ['active', 400],
    ['error', 400],
  ] as const)('%s, another interface is %d', async (provisionState, status) => {
    await store({}, { provisionState });
    expect((await patch(set('/bios_interface', 'no-bios'))).status).toBe(status);
  });

  test('active, the snapshot interface can be chosen, and any other in maintenance', async () => {
    const node = await store({}, { provisionState: 'active' });
    expect((await patch(set('/snapshot_interface', 'no-snapshot'))).status).toBe(200);
    await api.db.nodes.update(node.id, { maintenance: true });
    expect((await patch(set('/bios_interface', 'no-bios'))).status).toBe(200);
  });

  test.each([
    ['deploying', 409],
    ['cleaning', 409],
    ['snapshotting', 409],
    ['snapshot wait', 409],
    ['verifying', 200],
    ['deploy failed', 200],
    ['snapshot failed', 200],
    ['error', 200],
    ['active', 200],
  ] as const)('%s, a patch is %d', async (provisionState, status) => {
    await store({}, { provisionState, targetProvisionState: ['active', 'error'].includes(provisionState) ? null : 'active' });
    expect((await patch(set('/extra/a', 1))).status).toBe(status);
  });

  test('protection and retirement go with their reasons, where they are allowed', async () => {
    await store();
    expect((await patch(set('/protected', true))).status).toBe(400);
    expect((await patch([...set('/retired', true), ...set('/retired_reason', 'old')])).body).toMatchObject({ retired: true, retired_reason: 'old' });
    expect((await patch(set('/retired', false))).body).toMatchObject({ retired: false, retired_reason: null });
    await store({ name: 'free' }, { provisionState: 'available' });
    expect((await patch(set('/retired', true), { node: 'free' })).status).toBe(409);
    await store({ name: 'used' }, { provisionState: 'active' });
    expect((await patch([...set('/protected', 'true'), ...set('/protected_reason', 'prod')], { node: 'used' })).body).toMatchObject({ protected: true, protected_reason: 'prod' });
    expect((await patch([{ op: 'remove', path: '/protected' }], { node: 'used' })).body).toMatchObject({ protected: false, protected_reason: null });
  });

  test('into maintenance on top of a fault, it is a person\'s: the fault and its reason are gone, as with PUT', async () => {
    const { id } = await store({}, { maintenance: true, maintenanceReason: 'the BMC is silent', fault: 'power failure' });
    await patch(set('/extra/a', 1));
    expect(await api.db.nodes.get(id)).toMatchObject({ maintenance: true, maintenanceReason: 'the BMC is silent', fault: 'power failure' });
    expect((await patch([{ op: 'replace', path: '/maintenance', value: 'true' }])).body).toMatchObject({ maintenance: true, maintenance_reason: null, fault: null });
    expect((await api.db.history.listOf(id)).map(({ event }) => event)).toEqual(['Maintenance: on']);
    await api.db.nodes.update(id, { maintenanceReason: 'disk swap' });
    expect((await patch(set('/maintenance', true))).body).toMatchObject({ maintenance: true, maintenance_reason: 'disk swap' });
  });

  test('out of maintenance, its reason and fault are gone', async () => {
    await store({}, { maintenance: true, maintenanceReason: 'r', fault: 'power failure' });
    expect((await patch([{ op: 'replace', path: '/maintenance', value: false }])).body).toMatchObject({ maintenance: false, maintenance_reason: null, fault: null });
  });
});

describe('an image address with a user or password in it', () => {
  const BAD = ['https://ann:pw1@images.test/a', 'https://ann@images.test/a', 'http:/\\/ann:pw1@images.test/a', 'ftp://ann:pw1@x/'];
  test.each(BAD)('is refused in a patch and in a new node, and not repeated: %s', async (image_source) => {
    await store();
    for (const reply of [await patch(set('/instance_info/image_source', image_source)), await api.call('POST', '/v1/nodes', { body: { driver: 'fake-hardware', instance_info: { image_source } } })]) {
      expect([reply.status, reply.error?.faultstring]).toEqual([400, expect.stringContaining('user name or password')]);
      expect(JSON.stringify(reply.body)).not.toContain('pw1');
    }
    expect((await api.db.nodes.list()).map(({ instanceInfo }) => instanceInfo)).toEqual([{}]);
  });

  test('that is there already keeps nothing else from being changed', async () => {
    await store({}, { instanceInfo: { image_source: BAD[0]! } });
    expect((await patch(set('/description', 'x'))).status).toBe(200);
    expect((await patch(set('/instance_info/image_source', 'https://images.test/a@b?sig=1'))).status).toBe(200);
    expect((await api.db.nodes.find('n1'))?.instanceInfo).toEqual({ image_source: 'https://images.test/a@b?sig=1' });
  });
});
