/** What else a node has: its inventory, its plan, its VIFs, what no driver offers, and the versions of its document. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Inventory } from '../../../../protocol/inventory.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest, type Reply } from './api-under-test.ts';

const INVENTORY: Inventory = {
  disks: [{ name: '/dev/vda', model: null, vendor: null, serial: 's', wwn: null, size: 1_000, sector_size: 512, rotational: false, driver: 'virtio_blk' }],
  interfaces: [{ name: 'eth0', mac_address: '52:54:00:00:00:01', driver: null }],
  cpu: { architecture: 'x86_64', count: 2, model_name: null },
  memory: { total: 4_096 },
  system_vendor: { manufacturer: null, product_name: null, serial_number: null },
  boot: { current_boot_mode: 'uefi' },
};

let api: ApiUnderTest;
let node: NodeRow;
beforeEach(async () => {
  api = await startApi();
  node = await api.db.nodes.create(newNode({ name: 'n1', provisionState: 'active' }));
});
afterEach(() => api.close());

describe('the inventory of a node', () => {
  test('is what the ramdisk found, since 1.81; 404 while it has found nothing', async () => {
    expect((await api.call('GET', '/v1/nodes/n1/inventory')).error?.faultstring).toMatch(/inventory record .* could not be found/);
    await api.db.inventories.save(node.id, INVENTORY);
    expect(await api.call('GET', '/v1/nodes/n1/inventory', { version: '1.81' })).toMatchObject({ status: 200, body: { inventory: INVENTORY, plugin_data: {} } });
    expect((await api.call('GET', '/v1/nodes/n1/inventory', { version: '1.80' })).status).toBe(404);
  });
});

describe('a deployment', () => {
  const image = '0f0e0d0c-0b0a-0908-0706-050403020100';
  const provision = (body: object, version?: string): Promise<Reply> => api.call('PUT', '/v1/nodes/n1/states/provision', { body, ...(version === undefined ? {} : { version }) });

  test('that is only rehearsed answers with its plan and touches nothing', async () => {
    for (const [target, verb] of [['rebuild', 'rebuild'], ['deploy', 'deploy'], ['active', 'deploy']] as const) {
      expect(await provision({ target, dry_run: true, image_ref: image })).toMatchObject({ status: 200, body: { plan: { verb, node_uuid: node.uuid, image: { source: image }, result: 'warn' } } });
    }
    expect(api.workflow.calls.map(({ method }) => method)).toEqual(['planDeployment', 'planDeployment', 'planDeployment']);
  });

  test('takes an image and what to make of the copy since 1.116; other verbs take neither', async () => {
    expect((await provision({ target: 'rebuild', image_ref: image, generalize: { hostname: 'copy' } })).status).toBe(202);
    expect(api.workflow.calls.at(-1)?.args[2]).toEqual({ target: 'rebuild', image_ref: image, generalize: { hostname: 'copy' } });
    for (const argument of [{ image_ref: image }, { generalize: true }, { dry_run: true }]) {
      expect((await provision({ target: 'rebuild', ...argument }, '1.115')).status).toBe(406);
      expect((await provision({ target: 'manage', ...argument })).status).toBe(400);
    }
    expect((await provision({ target: 'snapshot', image_ref: image, generalize: true })).status).toBe(400);
  });
});

describe('VIFs', () => {
  test('are taken and let go as the network interface noop does it: nobody keeps them; a locked node answers 409', async () => {
    expect((await api.call('POST', '/v1/nodes/n1/vifs', { body: { id: 'net-1' } })).status).toBe(204);
    expect((await api.call('GET', '/v1/nodes/n1/vifs')).body).toEqual({ vifs: [] });
    expect((await api.call('DELETE', '/v1/nodes/n1/vifs/net-1')).status).toBe(204);
    await api.db.nodes.reserve(node.id, 'host-2');
    expect([(await api.call('POST', '/v1/nodes/n1/vifs', { body: { id: 'net-1' } })).status, (await api.call('DELETE', '/v1/nodes/n1/vifs/net-1')).status]).toEqual([409, 409]);
  });
});

describe('what no driver here offers', () => {
  test.each([
    ['PUT', 'states/boot_mode', { target: 'uefi' }, 76],
    ['PUT', 'states/secure_boot', { target: true }, 76],
    ['PUT', 'states/raid', { logical_disks: [] }, 12],
    ['PUT', 'management/inject_nmi', {}, 29],
    ['GET', 'management/indicators', undefined, 63],
  ])('%s %s is refused in Ironic\'s words, and absent at older versions', async (method, part, body, since) => {
    const call = (version: number): Promise<Reply> => api.call(method, `/v1/nodes/n1/${part}`, { version: `1.${version}`, ...(body ? { body } : {}) });
    expect((await call(since)).error?.faultstring).toMatch(/^Driver fake-hardware does not support \w+ \(disabled or not implemented\)\.$/);
    expect([(await call(since)).status, (await call(since - 1)).status]).toEqual([400, 404]);
  });
});

describe('the latest operation of a node', () => {
  test('is part of its driver_internal_info, without the secrets of an address', async () => {
    await api.db.operations.create(node.id, { uuid: 'd0d0d0d0-0b0a-0908-0706-050403020100', kind: 'rebuild', requestedBy: 'someone', image: { source: 'https://me:word@images.test/a.qcow2?signature=abc' }, generalize: null });
    const { driver_internal_info: info } = (await api.call('GET', '/v1/nodes/n1')).body as { driver_internal_info: { operation: Record<string, unknown> } };
    expect(info.operation).toMatchObject({ kind: 'rebuild', phase: 'fetch image', status: 'unfinished', requested_by: 'someone', image_source: 'https://******@images.test/a.qcow2?******', disk_touched: false, duration_s: null });
  });
});

describe('an address without a version', () => {
  test('is what links with rel bookmark have: it leads to the same resource', async () => {
    const { links } = (await api.call('GET', '/v1/nodes/n1')).body as { links: { href: string; rel: string }[] };
    const [self, bookmark] = ['self', 'bookmark'].map((rel) => links.find((link) => link.rel === rel)?.href.slice(api.url.length) ?? '');
    expect(bookmark).toBe(`/nodes/${node.uuid}`);
    expect((await api.call('GET', bookmark!)).body).toEqual((await api.call('GET', self!)).body);
    expect((await api.call('GET', '/nodes?limit=1')).body).toMatchObject({ nodes: [{ name: 'n1' }] });
  });
});

describe('a list of nodes', () => {
  test('can be sorted by an interface, page by page', async () => {
    const create = (name: string, snapshotInterface: string): Promise<NodeRow> => api.db.nodes.create(newNode({ name, interfaces: { ...node.interfaces, snapshot: snapshotInterface } }));
    for (const [name, kind] of [['b', 'no-snapshot'], ['c', 'agent'], ['d', 'agent']] as const) await create(name, kind);
    const names: string[] = [];
    for (let path: string | undefined = '/v1/nodes?sort_key=snapshot_interface&limit=2'; path !== undefined; ) {
      const page: { nodes: { name: string }[]; next?: string } = (await api.call('GET', path)).body as { nodes: { name: string }[]; next?: string };
      names.push(...page.nodes.map(({ name }) => name));
      path = page.next?.slice(api.url.length);
    }
    expect(names).toEqual(['c', 'd', 'n1', 'b']);
  });

  test('refuses a fault that there is not', async () => {
    expect((await api.call('GET', '/v1/nodes?fault=thirst')).status).toBe(400);
    expect((await api.call('GET', '/v1/nodes?fault=power%20failure')).body).toEqual({ nodes: [] });
  });
});

describe('a list of conductors', () => {
  test('is read page by page; its marker is a host name', async () => {
    await api.db.conductors.register({ hostname: 'a-host', conductorGroup: '', drivers: [] });
    const first = (await api.call('GET', '/v1/conductors?limit=1&sort_key=hostname')).body as { conductors: { hostname: string }[]; next: string };
    expect([first.conductors.map(({ hostname }) => hostname), first.next]).toEqual([['a-host'], `${api.url}/v1/conductors?limit=1&sort_key=hostname&marker=a-host`]);
    const second = (await api.call('GET', first.next.slice(api.url.length))).body as { conductors: { hostname: string }[] };
    expect([second.conductors.map(({ hostname }) => hostname), 'next' in second]).toEqual([['host-1'], false]);
    expect((await api.call('GET', '/v1/conductors?marker=nobody')).status).toBe(404);
  });
});
