import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import { ConflictError, NotFoundError } from '../../../../protocol/errors.ts';
import { newNode } from './node-of-tests.ts';

let db: Database;
beforeEach(async () => {
  db = await openDatabase({ path: ':memory:' });
});
afterEach(() => db.close());

describe('a node', () => {
  test('is found by name and by UUID in any case', async () => {
    const node = await db.nodes.create(newNode({ name: 'Gold-1', uuid: '5C2B1F04-31D2-4F25-9D5F-0D3E0F7F7A01' }));
    expect(node.uuid).toBe('5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01');
    expect(await db.nodes.find('5C2b1F04-31d2-4f25-9d5f-0d3e0f7f7a01')).toEqual(node);
    expect(await db.nodes.find('Gold-1')).toEqual(node);
    expect(await db.nodes.find('nope')).toBeNull();
    await expect(db.nodes.get(77)).rejects.toThrow(NotFoundError);
  });

  test('cannot take the name, UUID or instance of another: said in Ironic\'s words', async () => {
    const instanceUuid = randomUUID();
    const first = await db.nodes.create(newNode({ name: 'a', instanceUuid }));
    const second = await db.nodes.create(newNode({ name: 'b' }));
    await expect(db.nodes.create(newNode({ name: 'a' }))).rejects.toMatchObject({ httpStatus: 409, message: 'A node with name a already exists.' });
    await expect(db.nodes.create(newNode({ uuid: first.uuid }))).rejects.toMatchObject({ httpStatus: 409, message: `A node with UUID ${first.uuid} already exists.` });
    await expect(db.nodes.create(newNode({ instanceUuid }))).rejects.toMatchObject({ httpStatus: 409, message: expect.stringContaining(`Instance ${instanceUuid} is already associated`) });
    await expect(db.nodes.update(second.id, { name: 'a' })).rejects.toMatchObject({ message: 'A node with name a already exists.' });
    await expect(db.nodes.update(first.id, { name: 'a', instanceUuid })).resolves.toBeUndefined();
    expect((await db.nodes.get(second.id)).name).toBe('b');
  });

  test('goes with all that belongs to it', async () => {
    const node = await db.nodes.create(newNode({ provisionState: 'active' }));
    await db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:01' });
    await db.traits.add(node.id, 'CUSTOM_X');
    const imageRef = randomUUID();
    await db.nodes.storeStep(node.id, { from: 'active', event: 'snapshot', to: 'snapshotting', target: 'active', intentions: [] }, { history: { conductor: 'c', user: 'u' }, snapshot: { uuid: randomUUID(), requestedBy: 'u', disks: [{ imageRef, imageName: 'i' }] } });
    await db.nodes.delete(node.id);
    expect([await db.ports.list({}), await db.snapshots.unfinished(), await db.history.listOf(node.id), await db.traits.listOf(node.id)]).toEqual([[], [], [], []]);
    expect(await db.snapshots.holderInUse(imageRef)).toBe(false);
  });

  test('keeps its state and lock out of reach of an update, whatever the type says', async () => {
    const node = await db.nodes.create(newNode());
    const smuggled = { name: 'x', provisionState: 'active', reservation: 'me' };
    await expect(db.nodes.update(node.id, smuggled)).rejects.toThrow('must not name provisionState, reservation');
    expect(await db.nodes.get(node.id)).toEqual(node);
  });
});

describe('the lock', () => {
  test('of many who reserve at once, exactly one gets it', async () => {
    const node = await db.nodes.create(newNode());
    const taken = await Promise.all(Array.from({ length: 50 }, (_, index) => db.nodes.reserve(node.id, `host-${index}`)));
    expect(taken.filter(Boolean)).toHaveLength(1);
    expect((await db.nodes.get(node.id)).reservation).toBe(`host-${taken.indexOf(true)}`);
  });

  test('is let go by its holder only, and a write under it fails once it is lost', async () => {
    const node = await db.nodes.create(newNode());
    expect(await db.nodes.reserve(node.id, 'a')).toBe(true);
    await db.nodes.release(node.id, 'b');
    expect((await db.nodes.get(node.id)).reservation).toBe('a');
    await db.nodes.update(node.id, { lastError: 'x' }, 'a');
    await expect(db.nodes.update(node.id, { lastError: 'y' }, 'b')).rejects.toThrow(ConflictError);
    await db.nodes.release(node.id, 'a');
    await expect(db.nodes.update(node.id, { lastError: 'y' }, 'a')).rejects.toThrow('a lost the lock');
    expect((await db.nodes.get(node.id)).lastError).toBe('x');
    await expect(db.nodes.update(999, { lastError: 'y' })).rejects.toThrow(NotFoundError);
  });

  test('of conductors that are gone is cleared, under whatever name', async () => {
    const nodes = await Promise.all(['a', 'b', 'c'].map((name) => db.nodes.create(newNode({ name }))));
    await db.nodes.reserve(nodes[0]!.id, 'gone');
    await db.nodes.reserve(nodes[1]!.id, 'renamed since');
    expect(await db.nodes.clearReservations()).toBe(2);
    expect((await db.nodes.list()).map(({ reservation }) => reservation)).toEqual([null, null, null]);
    expect(await db.nodes.reserve(nodes[2]!.id, 'here')).toBe(true);
  });
});

describe('a list of nodes', () => {
  const names = async (query: Parameters<Database['nodes']['list']>[0]): Promise<(string | null)[]> => (await db.nodes.list(query)).map(({ name }) => name);

  test('is filtered by every condition given', async () => {
    await db.nodes.create(newNode({ name: 'a', provisionState: 'active', owner: 'p1', maintenance: true, description: '50% of rack_1' }));
    await db.nodes.create(newNode({ name: 'b', driver: 'redfish', lessee: 'p1', instanceUuid: 'ABC'.toLowerCase(), description: 'rack 2, 500 W' }));
    await db.nodes.create(newNode({ name: 'c', resourceClass: 'gold', conductorGroup: 'g', retired: true }));
    expect(await names({ provisionState: 'active' })).toEqual(['a']);
    expect(await names({ driver: 'redfish' })).toEqual(['b']);
    expect(await names({ maintenance: false })).toEqual(['b', 'c']);
    expect(await names({ associated: true })).toEqual(['b']);
    expect(await names({ associated: false })).toEqual(['a', 'c']);
    expect(await names({ instanceUuid: 'ABC' })).toEqual(['b']);
    expect(await names({ project: 'p1' })).toEqual(['a', 'b']);
    expect(await names({ project: 'p1', maintenance: true })).toEqual(['a']);
    expect(await names({ resourceClass: 'gold', conductorGroup: 'g', retired: true })).toEqual(['c']);
    expect(await names({ descriptionContains: '0%' })).toEqual(['a']);
    expect(await names({ descriptionContains: 'k_1' })).toEqual(['a']);
  });

  test.each([
    ['name', 'asc', [null, null, 'a', 'b', 'c']],
    ['name', 'desc', ['c', 'b', 'a', null, null]],
    ['createdAt', 'asc', ['b', null, 'c', null, 'a']],
    ['maintenance', 'desc', ['a', null, 'c', null, 'b']],
  ] as const)('by %s %s is whole and in order, page by page', async (sortKey, sortDir, expected) => {
    for (const name of ['b', null, 'c', null, 'a']) await db.nodes.create(newNode({ name }));
    const paged: (string | null)[] = [];
    for (let marker: string | undefined; paged.length <= expected.length; ) {
      const [node] = await db.nodes.list({ limit: 1, marker, sortKey, sortDir });
      if (!node) break;
      paged.push(node.name);
      marker = node.uuid;
    }
    expect(paged).toEqual(expected);
    expect(await names({ sortKey, sortDir })).toEqual(expected);
  });

  test('after an unknown marker is refused', async () => {
    await expect(db.nodes.list({ marker: randomUUID() })).rejects.toThrow(NotFoundError);
  });

  test('of nodes with one of some addresses names each node once', async () => {
    const node = await db.nodes.create(newNode());
    await db.nodes.create(newNode());
    await db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:01' });
    await db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:02' });
    expect(await db.nodes.findByAddresses(['52:54:00:00:00:01', '52:54:00:00:00:02', '52:54:00:FF:00:02'])).toEqual([node]);
    expect(await db.nodes.findByAddresses(['52:54:00:ff:00:02'])).toEqual([]);
  });

  test('that are to be brought back has those whose next try is due', async () => {
    const now = new Date('2026-01-01T00:00:10Z');
    const [earlier, later] = [new Date('2026-01-01T00:00:09.999Z'), new Date('2026-01-01T00:00:10.001Z')];
    for (const [name, bootBack, bootBackNextAt] of [
      ['new', 'pending', null],
      ['due', 'pending', earlier],
      ['now', 'pending', now],
      ['waiting', 'pending', later],
      ['again', 'failed', earlier],
      ['given up', 'failed', null],
      ['done', 'done', null],
      ['never', null, null],
    ] as const)
      await db.nodes.create(newNode({ name, bootBack, bootBackNextAt }));
    expect((await db.nodes.withPendingBootBack(now)).map(({ name }) => name)).toEqual(['new', 'due', 'now', 'again']);
  });
});
