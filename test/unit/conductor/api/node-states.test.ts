import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NewNode } from '../../../../conductor/db/node-store.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.close());

const store = (more: Partial<NewNode>): Promise<NodeRow> => api.db.nodes.create(newNode({ name: 'n1', ...more }));
const provision = (body: unknown, options: { version?: string; node?: string } = {}): Promise<Reply> => api.call('PUT', `/v1/nodes/${options.node ?? 'n1'}/states/provision`, { body, ...(options.version ? { version: options.version } : {}) });
const asked = (): string[] => api.workflow.calls.map(({ method }) => method);

describe('a provision verb', () => {
  test('is 202 with an empty body and the address of the states, by the ident as given', async () => {
    const { uuid } = await store({});
    const reply = await provision({ target: 'manage' });
    expect(reply).toMatchObject({ status: 202, body: '', headers: { location: `${api.url}/v1/nodes/n1/states`, 'content-length': '0' } });
    expect((await provision({ target: 'provide' }, { node: uuid })).headers['location']).toBe(`${api.url}/v1/nodes/${uuid}/states`);
    expect((await api.call('GET', '/v1/nodes/n1')).body).toMatchObject({ provision_state: 'available', target_provision_state: null });
    expect(api.workflow.calls[0]?.args).toEqual([uuid, 'manage', { target: 'manage' }, { user: 'anonymous', projectId: null, access: 'admin' }]);
  });

  test('is checked in Ironic\'s order: types, node, version, then the workflow\'s lock and state', async () => {
    const node = await store({});
    const good = { target: 'snapshot', image_ref: randomUUID() };
    expect((await provision({ ...good, bogus: 1 }, { node: 'nope', version: '1.115' })).status).toBe(400);
    expect((await provision(good, { node: 'nope', version: '1.115' })).status).toBe(404);
    expect((await provision(good, { version: '1.115' })).status).toBe(406);
    expect(asked()).toEqual([]);
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await provision(good)).status).toBe(409);
    await api.db.nodes.release(node.id, 'host-2');
    expect(await provision(good)).toMatchObject({ status: 400, error: { faultstring: `The requested action "snapshot" can not be performed on node "${node.uuid}" while it is in state "enroll".` } });
  });

  test.each([[{}], [{ target: 1 }], [{ target: null }], [{ target: 'clean', clean_steps: 'x' }], [{ target: 'clean', clean_steps: [{ step: 'x' }] }], [{ target: 'snapshot', dry_run: 'yes' }]])('with the wrong types %j is 400', async (body) => {
    await store({});
    expect((await provision(body)).status).toBe(400);
    expect(asked()).toEqual([]);
  });

  test.each([
    ['manage', '1.3'],
    ['provide', '1.3'],
    ['abort', '1.12'],
    ['clean', '1.14'],
    ['adopt', '1.16'],
    ['rescue', '1.37'],
    ['deploy', '1.72'],
    ['snapshot', '1.115'],
  ])('%s at %s is 406', async (target, version) => {
    const { uuid } = await store({});
    expect((await provision({ target }, { version, node: uuid })).status).toBe(406);
  });

  test('that nobody knows, or that is Ironic\'s but not served, is 400, and 409 while the node is locked', async () => {
    const node = await store({ provisionState: 'manageable' });
    for (const target of ['bogus', 'inspect', 'rescue', 'toString']) expect(await provision({ target })).toMatchObject({ status: 400, error: { faultstring: expect.stringContaining(`The requested action "${target}" can not be performed`) } });
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await provision({ target: 'bogus' })).status).toBe(409);
  });

  test.each([
    [{ target: 'manage', image_ref: randomUUID() }, 400],
    [{ target: 'manage', dry_run: true }, 400],
    [{ target: 'manage', configdrive: 'x' }, 400],
    [{ target: 'manage', deploy_steps: [] }, 400],
    [{ target: 'manage', rescue_password: 'x' }, 400],
    [{ target: 'manage', disable_ramdisk: true }, 400],
  ])('with an argument of another verb %j is %d, never ignored', async (body, status) => {
    await store({});
    expect((await provision(body)).status).toBe(status);
    expect(asked()).toEqual([]);
  });

  test('snapshot as a dry run answers 200 with the checks and begins nothing', async () => {
    const node = await store({ provisionState: 'active' });
    const imageRef = randomUUID();
    expect(await provision({ target: 'snapshot', image_ref: imageRef, dry_run: true })).toMatchObject({ status: 200, body: { checks: { state: { result: false, reason: 'not active' } } } });
    expect(asked()).toEqual(['dryRunSnapshot']);
    expect(await api.db.nodes.get(node.id)).toEqual(node);
    expect((await provision({ target: 'snapshot', image_ref: imageRef, dry_run: false })).status).toBe(202);
    expect(asked()).toEqual(['dryRunSnapshot', 'provision']);
  });
});

describe('a power change', () => {
  const power = (body: unknown, version = '1.116'): Promise<Reply> => api.call('PUT', '/v1/nodes/n1/states/power', { body, version });

  test('is 202 with the address of the states; seconds become milliseconds', async () => {
    const { uuid } = await store({});
    expect(await power({ target: 'soft power off', timeout: 30 })).toMatchObject({ status: 202, body: '', headers: { location: `${api.url}/v1/nodes/n1/states` } });
    expect(await power({ target: 'power on', timeout: null }, '1.5')).toMatchObject({ status: 202 });
    expect(api.workflow.calls.map(({ args }) => args.slice(0, 3))).toEqual([
      [uuid, 'soft power off', 30_000],
      [uuid, 'power on', undefined],
    ]);
  });

  test.each([
    [{ target: 'bogus' }, '1.116', 400],
    [{ target: 'power on', timeout: 0 }, '1.116', 400],
    [{ target: 'power on', timeout: 'x' }, '1.116', 400],
    [{ target: 'power on', bogus: 1 }, '1.116', 400],
    [{}, '1.116', 400],
    [{ target: 'soft rebooting' }, '1.26', 406],
    [{ target: 'power on', timeout: 30 }, '1.26', 406],
  ])('with %j at %s is %d', async (body, version, status) => {
    await store({});
    expect((await power(body, version)).status).toBe(status);
    expect(asked()).toEqual([]);
  });

  test('while the node is being cleaned is 400', async () => {
    await store({ provisionState: 'clean wait' });
    expect((await power({ target: 'power off' })).status).toBe(400);
  });
});
