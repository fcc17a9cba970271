/** Who may do what, over HTTP, with real rows. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Router } from 'express';
import { ruleOf } from '../../../../conductor/api/policy-table.ts';
import { contextOf } from '../../../../conductor/api/request-context.ts';
import { resourcesOf } from '../../../../conductor/api/resource.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import type { Caller } from '../../../../conductor/workflow/workflow.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type CallOptions, type Reply } from './api-under-test.ts';

const [OWNER, LESSEE, OTHER] = ['project-of-owner', 'project-of-lessee', 'project-of-others'];
const of = (projectId: string | null, access: Caller['access']): Caller => ({ user: 'somebody', projectId, access, scope: projectId === null ? 'system' : 'project' });
const CALLERS = {
  admin: of(OTHER, 'admin'),
  'system member': of(null, 'project'),
  'system reader': of(null, 'reader'),
  owner: of(OWNER, 'project'),
  'owner reader': of(OWNER, 'reader'),
  lessee: of(LESSEE, 'project'),
  'lessee reader': of(LESSEE, 'reader'),
  stranger: of(OTHER, 'project'),
} satisfies Record<string, Caller>;
type Who = keyof typeof CALLERS;
const EVERYBODY = Object.keys(CALLERS) as Who[];

let api: ApiUnderTest;
let node: NodeRow;
let port: string;
let connector: string;
beforeAll(async () => {
  api = await startApi({
    auth: (request, response, next) => {
      contextOf(response).caller = CALLERS[request.get('X-Who') as Who];
      next();
    },
  });
});
afterAll(() => api.close());
beforeEach(async () => {
  for (const { id } of await api.db.nodes.list()) await api.db.nodes.delete(id);
  node = await api.db.nodes.create(newNode({ name: 'n1', owner: OWNER, lessee: LESSEE, powerState: 'power off', driverInfo: { redfish_address: 'bmc', redfish_password: 'x' } }));
  const foreign = await api.db.nodes.create(newNode({ name: 'n2', owner: 'another' }));
  await api.db.nodes.create(newNode({ name: 'n3' })); // of nobody
  port = (await api.db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:01' })).uuid;
  await api.db.ports.create({ nodeId: foreign.id, address: '52:54:00:00:00:02' });
  connector = (await api.db.volumeConnectors.create({ nodeId: node.id, type: 'iqn', connectorId: 'iqn.1', extra: {} })).uuid;
  await api.db.volumeConnectors.create({ nodeId: foreign.id, type: 'iqn', connectorId: 'iqn.2', extra: {} });
  await api.db.portgroups.create({ nodeId: foreign.id, name: 'g2', address: null, mode: 'active-backup', standalonePortsSupported: true, properties: {}, extra: {}, internalInfo: {} });
});

const as = (who: Who, method: string, path: string, options: CallOptions = {}): Promise<Reply> => api.call(method, path, { ...options, headers: { 'X-Who': who } });
const set = (path: string, value: unknown) => [{ op: 'add', path, value }];

describe('of a node, its ports and its volumes', () => {
  const SEE: Who[] = ['admin', 'system member', 'system reader', 'owner', 'owner reader', 'lessee', 'lessee reader'];
  const SEE_AS_OWNER: Who[] = SEE.filter((who) => !who.startsWith('lessee'));
  const USE: Who[] = ['admin', 'system member', 'owner', 'lessee'];
  const OWN: Who[] = ['admin', 'system member', 'owner'];
  const ADMINISTER: Who[] = ['admin'];
  const cases: [string, Who[], string, string, (() => unknown)?][] = [
    ['shown', SEE, 'GET', '/v1/nodes/n1'],
    ['shown by UUID', SEE, 'GET', '/v1/nodes/:uuid'],
    ['its states', SEE, 'GET', '/v1/nodes/n1/states'],
    ['its ports', SEE, 'GET', '/v1/nodes/n1/ports'],
    ['its traits', SEE, 'GET', '/v1/nodes/n1/traits'],
    ['one of its ports', SEE, 'GET', '/v1/ports/:port'],
    ['one of its volume connectors', SEE, 'GET', '/v1/volume/connectors/:connector'],
    ['ports by node', SEE, 'GET', '/v1/ports?node=n1'],
    ['its history', SEE_AS_OWNER, 'GET', '/v1/nodes/n1/history'],
    ['its boot device', SEE_AS_OWNER, 'GET', '/v1/nodes/n1/management/boot_device'],
    ['validated', USE, 'GET', '/v1/nodes/n1/validate'],
    ['power', USE, 'PUT', '/v1/nodes/n1/states/power', () => ({ target: 'power on' })],
    ['instance information', USE, 'PATCH', '/v1/nodes/n1', () => set('/instance_info/image_source', 'x')],
    ['a volume connector', USE, 'PATCH', '/v1/volume/connectors/:connector', () => set('/extra/a', 1)],
    ['another instance', OWN, 'PATCH', '/v1/nodes/n1', () => set('/instance_uuid', '11111111-1111-4111-8111-111111111111')],
    ['instance information and more', OWN, 'PATCH', '/v1/nodes/n1', () => [...set('/instance_info/a', 1), ...set('/description', 'x')]],
    ['BMC', OWN, 'PATCH', '/v1/nodes/n1', () => set('/driver_info/redfish_address', 'elsewhere')],
    ['maintenance', OWN, 'PUT', '/v1/nodes/n1/maintenance', () => ({})],
    ['the end of maintenance', OWN, 'DELETE', '/v1/nodes/n1/maintenance'],
    ['manage', OWN, 'PUT', '/v1/nodes/n1/states/provision', () => ({ target: 'manage' })],
    ['traits', OWN, 'PUT', '/v1/nodes/n1/traits', () => ({ traits: [] })],
    ['boot device', OWN, 'PUT', '/v1/nodes/n1/management/boot_device', () => ({ boot_device: 'pxe' })],
    ['a new port', OWN, 'POST', '/v1/ports', () => ({ node_uuid: node.uuid, address: '52:54:00:00:00:09' })],
    ['a port of it', OWN, 'PATCH', '/v1/ports/:port', () => set('/extra/a', 1)],
    ['the end of a port', OWN, 'DELETE', '/v1/ports/:port'],
    ['another owner', ADMINISTER, 'PATCH', '/v1/nodes/n1', () => set('/owner', OTHER)],
    ['another owner among other things', ADMINISTER, 'PATCH', '/v1/nodes/n1', () => [...set('/instance_info/a', 1), ...set('/owner', OTHER)]],
    ['no cleaning', ADMINISTER, 'PATCH', '/v1/nodes/n1', () => set('/automated_clean', false)],
    ['its end', ADMINISTER, 'DELETE', '/v1/nodes/n1'],
  ];

  test.each(cases.map(([what, allowed, method, path, body]) => ({ what, allowed, method, path, body })))('$what: who may, may; who sees it may not (403); for all others it is not there (404)', async ({ allowed, method, path: pattern, body }) => {
    const outcomes: Record<string, string> = {};
    const expected: Record<string, string> = {};
    for (const who of EVERYBODY.filter((one) => !allowed.includes(one)).concat(allowed.slice(-1), allowed.slice(0, 1))) {
      const path = pattern.replace(':uuid', node.uuid).replace(':port', port).replace(':connector', connector);
      const { status } = await as(who, method, path, { body: body?.() });
      outcomes[who] = [401, 403, 404, 500].includes(status) ? String(status) : 'may'; // 400 or 409 after somebody has done it before
      expected[who] = allowed.includes(who) ? 'may' : SEE.includes(who) ? '403' : '404';
      if (method === 'DELETE' && status < 300) return expect(outcomes).toEqual(expected); // there is none any more
    }
    expect(outcomes).toEqual(expected);
  });

  test.each<[string, Who[]]>([
    ['deploy', USE],
    ['active', USE],
    ['rebuild', USE],
    ['deleted', USE],
    ['snapshot', OWN],
    ['clean', OWN],
    ['provide', OWN],
    ['adopt', OWN],
    ['abort', OWN],
    ['no such verb', OWN],
  ])('the target %s', async (target, allowed) => {
    for (const who of EVERYBODY) {
      const { status } = await as(who, 'PUT', '/v1/nodes/n1/states/provision', { body: { target } });
      expect([who, status === 403 ? 'may not' : status === 404 ? 'not there' : 'may']).toEqual([who, allowed.includes(who) ? 'may' : SEE.includes(who) ? 'may not' : 'not there']);
    }
  });

  test('what is not there and what may not be seen are told in the same words', async () => {
    const words = async (who: Who, path: string): Promise<unknown> => (await as(who, 'GET', path)).error?.faultstring;
    for (const who of ['stranger', 'owner'] as const) expect(await words(who, '/v1/nodes/n2')).toBe(String(await words('admin', '/v1/nodes/nx')).replace('nx', 'n2'));
    expect(await words('stranger', `/v1/ports/${port}`)).toBe(`Port ${port} could not be found.`);
    expect(await words('owner', '/v1/portgroups/g2')).toBe(String(await words('admin', '/v1/portgroups/gx')).replace('gx', 'g2'));
    expect((await as('stranger', 'GET', '/v1/ports?node=n1')).status).toBe(404);
    expect((await as('stranger', 'POST', '/v1/ports', { body: { node_uuid: node.uuid, address: '52:54:00:00:00:09' } })).status).toBe(404);
  });

  test('nothing of it may be moved to another node, or made for one, by the owner of the first only', async () => {
    const other = await api.db.nodes.find('n2');
    expect((await as('owner', 'PATCH', `/v1/volume/connectors/${connector}`, { body: set('/node_uuid', other?.uuid) })).status).toBe(403);
    expect((await as('owner', 'PATCH', `/v1/ports/${port}`, { body: set('/node_uuid', other?.uuid) })).status).toBe(403);
    expect((await as('owner', 'POST', '/v1/volume/connectors', { body: { node_uuid: other?.uuid, type: 'iqn', connector_id: 'iqn.9' } })).status).toBe(404);
    expect((await as('owner', 'POST', '/v1/ports', { body: { address: '52:54:00:00:00:09' } })).status).toBe(404);
  });
});

describe('a list shows', () => {
  test.each<[Who, string[]]>([
    ['admin', ['n1', 'n2', 'n3']],
    ['system reader', ['n1', 'n2', 'n3']],
    ['owner', ['n1']],
    ['lessee reader', ['n1']],
    ['stranger', []],
  ])('%s the nodes %j and what belongs to them, whatever is asked for', async (who, names) => {
    const shown = async (path: string, collection: string, field: string): Promise<unknown[]> => ((await as(who, 'GET', path)).body as Record<string, Record<string, unknown>[]>)[collection]!.map((one) => one[field]);
    for (const path of ['/v1/nodes', '/v1/nodes/detail', '/v1/nodes?detail=true']) expect(await shown(path, 'nodes', 'name')).toEqual(names);
    const foreign = names.filter((name) => name === 'n2');
    expect(await shown('/v1/nodes?owner=another', 'nodes', 'name')).toEqual(foreign);
    expect(await shown('/v1/nodes?project=another', 'nodes', 'name')).toEqual(foreign);
    const parts = names.length === 3 ? 2 : names.length;
    for (const path of ['/v1/ports', '/v1/ports/detail']) expect(await shown(path, 'ports', 'address')).toHaveLength(parts);
    expect(await shown('/v1/ports?address=52:54:00:00:00:02', 'ports', 'address')).toHaveLength(foreign.length);
    expect(await shown('/v1/volume/connectors', 'connectors', 'uuid')).toHaveLength(parts);
    expect(await shown('/v1/portgroups', 'portgroups', 'name')).toEqual(foreign.map(() => 'g2'));
  });
});

describe('what belongs to others leaves no trace', () => {
  test('in the markers of lists', async () => {
    const foreign = (await api.db.nodes.find('n2'))!;
    const markers = {
      '/v1/nodes': foreign.uuid,
      '/v1/ports': (await api.db.ports.list({ nodeId: foreign.id }))[0]!.uuid,
      '/v1/portgroups': (await api.db.portgroups.find('g2'))!.uuid,
      '/v1/volume/connectors': (await api.db.volumeConnectors.list({ nodeId: foreign.id }))[0]!.uuid,
    };
    for (const [path, marker] of Object.entries(markers)) {
      const reply = await as('owner', 'GET', `${path}?marker=${marker}&sort_key=created_at`);
      expect([path, reply.status, reply.error?.faultstring]).toEqual([path, 404, `Marker ${marker} could not be found.`]);
      expect((await as('admin', 'GET', `${path}?marker=${marker}`)).status).toBe(200);
    }
    expect((await as('owner', 'GET', `/v1/nodes?marker=${node.uuid}`)).body).toEqual({ nodes: [] });
    expect((await as('lessee', 'GET', `/v1/ports?marker=${port}`)).body).toEqual({ ports: [] });
  });

  test('in port groups that ports are asked for by, or put into', async () => {
    const unknown = '11111111-1111-4111-8111-111111111111';
    const { uuid: foreign } = (await api.db.portgroups.find('g2'))!;
    const words = async (method: string, path: string, body?: (group: string) => unknown): Promise<unknown[]> => {
      const answers: unknown[] = [];
      for (const group of [foreign, unknown]) {
        const { status, error } = await as('owner', method, path.replace('GROUP', group), { body: body?.(group) });
        answers.push([status, error?.faultstring?.replace(group, 'GROUP')]);
      }
      return answers;
    };
    const [byGroup, madeIn, putInto] = [
      await words('GET', '/v1/ports?portgroup=GROUP'),
      await words('POST', '/v1/ports', (group) => ({ node_uuid: node.uuid, address: '52:54:00:00:00:0a', portgroup_uuid: group })),
      await words('PATCH', `/v1/ports/${port}`, (group) => set('/portgroup_uuid', group)),
    ];
    expect(byGroup).toEqual([[404, 'Portgroup GROUP could not be found.'], [404, 'Portgroup GROUP could not be found.']]);
    for (const answers of [madeIn, putInto]) expect(answers).toEqual([[400, 'Portgroup GROUP could not be found.'], [400, 'Portgroup GROUP could not be found.']]);
  });
});

describe('of the installation', () => {
  test.each([...['/v1/drivers', '/v1/drivers/fake-hardware', '/v1/drivers/fake-hardware/properties', '/v1/conductors'].map((path) => [path])])('%s is for people of the system', async (path) => {
    for (const who of EVERYBODY) expect([who, (await as(who, 'GET', path)).status]).toEqual([who, who === 'admin' || who.startsWith('system') ? 200 : 403]);
  });

  test('new nodes, and a machine\'s own words, are for administrators', async () => {
    for (const who of EVERYBODY.filter((one) => one !== 'admin')) {
      expect([who, (await as(who, 'POST', '/v1/nodes', { body: { driver: 'fake-hardware', owner: OWNER } })).status]).toEqual([who, 403]);
      expect([who, (await as(who, 'GET', `/v1/lookup?node_uuid=${node.uuid}`)).status]).toEqual([who, 403]);
      expect([who, (await as(who, 'POST', `/v1/heartbeat/${node.uuid}`, { body: { callback_url: 'http://x' } })).status]).toEqual([who, 403]);
    }
    expect((await as('admin', 'POST', '/v1/nodes', { body: { driver: 'fake-hardware' } })).status).toBe(201);
  });

  test('a lessee learns nothing of the BMC; nobody learns its password', async () => {
    const infoOf = async (who: Who): Promise<unknown> => ((await as(who, 'GET', '/v1/nodes/n1')).body as { driver_info: unknown }).driver_info;
    for (const who of ['lessee', 'lessee reader'] as const) expect(JSON.stringify(await infoOf(who))).not.toContain('bmc');
    for (const who of ['admin', 'owner', 'owner reader', 'system reader'] as const) expect(await infoOf(who)).toEqual({ redfish_address: 'bmc', redfish_password: '******' });
    const listed = (await as('lessee', 'GET', '/v1/nodes?fields=driver_info')).body as { nodes: unknown[] };
    expect(JSON.stringify(listed)).not.toContain('bmc');
  });
});

test('every resource and method has a right that somebody has thought of', async () => {
  // a router of its own, filled as the application fills its own
  const { createAdminApp } = await import('../../../../conductor/api/admin-app.ts');
  const app = createAdminApp({ db: api.db, workflow: api.workflow, log: { debug: () => undefined } as never, auth: () => undefined, hardware: { names: () => [] } as never, config: { conductorName: 'c', conductorGroup: '' } });
  const stack = (app as unknown as { router: { stack: { handle: unknown }[] } }).router.stack;
  const resources = stack.flatMap(({ handle }) => resourcesOf(handle as Router));
  expect(resources.length).toBeGreaterThan(20);
  expect(resources.flatMap(({ path, methods }) => methods.filter((method) => ruleOf(method, path) === undefined).map((method) => `${method} ${path}`))).toEqual([]);
});
