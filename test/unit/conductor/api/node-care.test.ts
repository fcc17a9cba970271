import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { newNode } from '../db/node-of-tests.ts';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

let api: ApiUnderTest;
let node: NodeRow;
beforeEach(async () => {
  api = await startApi();
  node = await api.db.nodes.create(newNode({ name: 'n1' }));
});
afterEach(() => api.close());

describe('maintenance', () => {
  test('is set with a reason and taken back with all that came with it', async () => {
    expect(await api.call('PUT', '/v1/nodes/n1/maintenance', { body: { reason: 'disk' } })).toMatchObject({ status: 202, body: '' });
    expect((await api.call('GET', '/v1/nodes/n1')).body).toMatchObject({ maintenance: true, maintenance_reason: 'disk', reservation: null });
    expect((await api.call('DELETE', '/v1/nodes/n1/maintenance')).status).toBe(202);
    expect((await api.call('GET', '/v1/nodes/n1')).body).toMatchObject({ maintenance: false, maintenance_reason: null, fault: null });
    expect((await api.call('PUT', '/v1/nodes/n1/maintenance')).status).toBe(202);
    expect((await api.call('PUT', '/v1/nodes/n1/maintenance', { body: { bogus: 1 } })).status).toBe(400);
  });

  test('of a locked node is 409', async () => {
    await api.db.nodes.reserve(node.id, 'host-2');
    expect((await api.call('PUT', '/v1/nodes/n1/maintenance', { body: {} })).status).toBe(409);
    expect((await api.call('DELETE', '/v1/nodes/n1/maintenance')).status).toBe(409);
  });
});

test('validation names the snapshot interface from 1.116 only', async () => {
  const kinds = async (version: string): Promise<string[]> => Object.keys((await api.call('GET', '/v1/nodes/n1/validate', { version })).body as object);
  expect(await kinds('1.115')).not.toContain('snapshot');
  expect(await kinds('1.116')).toContain('snapshot');
});

describe('the boot device', () => {
  const path = '/v1/nodes/n1/management/boot_device';
  test('is shown, set for once by default, and refused when unknown', async () => {
    expect((await api.call('GET', path)).body).toEqual({ boot_device: 'pxe', persistent: false });
    expect(await api.call('PUT', path, { body: { boot_device: 'disk', persistent: 'true' } })).toMatchObject({ status: 204, body: '' });
    expect((await api.call('GET', path)).body).toEqual({ boot_device: 'disk', persistent: true });
    expect((await api.call('PUT', path, { body: { boot_device: 'floppy' } })).status).toBe(400);
    expect((await api.call('GET', `${path}/supported`)).body).toEqual({ supported_boot_devices: ['pxe'] });
  });

  test('cannot be changed while a snapshot is under way', async () => {
    await api.db.nodes.create(newNode({ name: 'busy', provisionState: 'snapshot wait' }));
    expect((await api.call('PUT', '/v1/nodes/busy/management/boot_device', { body: { boot_device: 'pxe' } })).status).toBe(409);
  });
});

describe('traits', () => {
  const traits = async (): Promise<unknown> => (await api.call('GET', '/v1/nodes/n1/traits')).body;
  test('are set together, added and removed one by one', async () => {
    expect((await api.call('PUT', '/v1/nodes/n1/traits', { body: { traits: ['CUSTOM_B', 'HW_CPU_X86_VMX'] } })).status).toBe(204);
    const added = await api.call('PUT', '/v1/nodes/n1/traits/CUSTOM_A');
    expect(added).toMatchObject({ status: 204, headers: { location: `${api.url}/v1/nodes/n1/traits/CUSTOM_A` } });
    expect(await traits()).toEqual({ traits: ['CUSTOM_A', 'CUSTOM_B', 'HW_CPU_X86_VMX'] });
    expect((await api.call('GET', '/v1/nodes?fields=traits')).body).toMatchObject({ nodes: [{ traits: ['CUSTOM_A', 'CUSTOM_B', 'HW_CPU_X86_VMX'] }] });
    expect((await api.call('DELETE', '/v1/nodes/n1/traits/CUSTOM_B')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/nodes/n1/traits/CUSTOM_B')).status).toBe(404);
    expect((await api.call('DELETE', '/v1/nodes/n1/traits')).status).toBe(204);
    expect(await traits()).toEqual({ traits: [] });
  });

  test('with a wrong name, too many, or a body where none is due are 400', async () => {
    expect((await api.call('PUT', '/v1/nodes/n1/traits/lower')).status).toBe(400);
    expect((await api.call('PUT', '/v1/nodes/n1/traits', { body: { traits: ['NO_NAMESPACE'] } })).status).toBe(400);
    expect((await api.call('PUT', '/v1/nodes/n1/traits', { body: {} })).status).toBe(400);
    expect((await api.call('PUT', '/v1/nodes/n1/traits/CUSTOM_A', { body: { traits: [] } })).status).toBe(400);
    const many = Array.from({ length: 51 }, (_, index) => `CUSTOM_${index}`);
    expect((await api.call('PUT', '/v1/nodes/n1/traits', { body: { traits: many } })).status).toBe(400);
    await api.call('PUT', '/v1/nodes/n1/traits', { body: { traits: many.slice(0, 50) } });
    expect((await api.call('PUT', '/v1/nodes/n1/traits/CUSTOM_50')).status).toBe(400);
    expect((await api.call('PUT', '/v1/nodes/n1/traits/CUSTOM_49')).status).toBe(204);
  });
});

describe('history', () => {
  test('has a line for each transition, short in the list, whole by itself, in pages', async () => {
    await api.call('PUT', '/v1/nodes/n1/states/provision', { body: { target: 'manage' } });
    const long = 'x'.repeat(300);
    await api.db.history.record({ nodeId: node.id, conductor: 'c', user: 'u', eventType: 'power', severity: 'ERROR', event: long });
    const { history } = (await api.call('GET', '/v1/nodes/n1/history')).body as { history: Record<string, string>[] };
    expect(history.map(({ event }) => event?.slice(0, 20))).toEqual(['enroll -> verifying ', 'verifying -> managea', 'x'.repeat(20)]);
    expect(Object.keys(history[0] ?? {}).sort()).toEqual(['created_at', 'event', 'links', 'severity', 'uuid']);
    expect(history[2]?.['event']).toBe(`${'x'.repeat(251)}...`);
    expect((await api.call('GET', `/v1/nodes/n1/history/${history[2]?.['uuid']}`)).body).toMatchObject({ event: long, event_type: 'power', conductor: 'c', user: 'u', severity: 'ERROR' });
    const page = (await api.call('GET', '/v1/nodes/n1/history?limit=2&detail=true')).body as { history: unknown[]; next: string };
    expect(page.history).toHaveLength(2);
    expect((await api.call('GET', page.next.slice(api.url.length))).body).toMatchObject({ history: [{ event: long }] });
    expect((await api.call('GET', `/v1/nodes/n1/history/${node.uuid}`)).status).toBe(404);
  });

  test('is sorted as asked, also over its pages', async () => {
    for (const [event, severity] of [['b', 'INFO'], ['a', 'ERROR'], ['c', 'INFO']] as const) await api.db.history.record({ nodeId: node.id, conductor: 'c', user: 'u', eventType: 'power', severity, event });
    const events = async (query: string): Promise<unknown[]> => {
      const seen: unknown[] = [];
      for (let path: string | undefined = `/v1/nodes/n1/history?limit=1&${query}`; path !== undefined; ) {
        const { history, next } = (await api.call('GET', path)).body as { history: { event: string }[]; next?: string };
        seen.push(...history.map(({ event }) => event));
        path = next?.slice(api.url.length);
      }
      return seen;
    };
    expect(await events('sort_dir=desc')).toEqual(['c', 'a', 'b']);
    expect(await events('sort_key=event')).toEqual(['a', 'b', 'c']);
    expect(await events('sort_key=severity&sort_dir=desc')).toEqual(['c', 'b', 'a']);
    expect(await events('sort_key=created_at&sort_dir=desc')).toHaveLength(3);
    const other = await api.db.nodes.create(newNode({ name: 'n2' }));
    await api.db.history.record({ nodeId: other.id, conductor: 'c', user: 'u', eventType: 'power', severity: 'INFO', event: 'foreign' });
    const [foreign] = await api.db.history.listOf(other.id);
    expect((await api.call('GET', `/v1/nodes/n1/history?marker=${foreign!.uuid}`)).status).toBe(404);
  });
});

test('virtual interfaces: there are none', async () => {
  expect((await api.call('GET', '/v1/nodes/n1/vifs')).body).toEqual({ vifs: [] });
});
