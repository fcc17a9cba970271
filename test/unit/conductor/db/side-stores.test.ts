import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { NotFoundError } from '../../../../protocol/errors.ts';
import { newNode } from './node-of-tests.ts';

let db: Database;
let node: NodeRow;
beforeEach(async () => {
  db = await openDatabase({ path: ':memory:' });
  node = await db.nodes.create(newNode());
});
afterEach(() => db.close());

describe('ports', () => {
  test('have their address in lower case, once in the whole fleet', async () => {
    const port = await db.ports.create({ nodeId: node.id, address: '52:54:00:AB:CD:EF', name: 'p' });
    expect(port).toMatchObject({ address: '52:54:00:ab:cd:ef', pxeEnabled: true, isSmartnic: false, extra: {} });
    await expect(db.ports.create({ nodeId: node.id, address: '52:54:00:ab:cd:EF' })).rejects.toMatchObject({ httpStatus: 409, message: 'A port with MAC address 52:54:00:ab:cd:ef already exists.' });
    const other = await db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:01' });
    await expect(db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:02', uuid: port.uuid })).rejects.toThrow(`A port with UUID ${port.uuid} already exists.`);
    await expect(db.ports.create({ nodeId: node.id, address: '52:54:00:00:00:02', name: 'p' })).rejects.toThrow('A port with name p already exists.');
    await expect(db.ports.update(other.id, { address: '52:54:00:AB:CD:EF' })).rejects.toMatchObject({ httpStatus: 409 });
    await db.ports.update(port.id, { address: '52:54:00:AB:CD:EF', extra: { a: 1 } });
    expect(await db.ports.list({ address: '52:54:00:AB:cd:ef' })).toMatchObject([{ uuid: port.uuid, extra: { a: 1 } }]);
    await db.ports.delete(port.id);
    expect(await db.ports.find(port.uuid)).toBeNull();
    await expect(db.ports.update(port.id, {})).rejects.toThrow(NotFoundError);
  });
});

describe('history', () => {
  test('is read in order, in pages, of one node only', async () => {
    const other = await db.nodes.create(newNode());
    for (const event of ['one', 'two', 'three']) await db.history.record({ nodeId: node.id, conductor: 'c', user: 'u', eventType: 'power', severity: 'INFO', event });
    await db.history.record({ nodeId: other.id, conductor: 'c', user: 'u', eventType: 'power', severity: 'INFO', event: 'foreign' });
    const [first] = await db.history.listOf(node.id, { limit: 1 });
    expect(first?.event).toBe('one');
    expect((await db.history.listOf(node.id, { marker: first!.uuid })).map(({ event }) => event)).toEqual(['two', 'three']);
    expect(await db.history.find(node.id, first!.uuid)).toEqual(first);
    expect(await db.history.find(other.id, first!.uuid)).toBeNull();
    await expect(db.history.listOf(node.id, { marker: randomUUID() })).rejects.toThrow(NotFoundError);
  });
});

describe('traits', () => {
  test('are added once, replaced together and removed by name', async () => {
    await db.traits.add(node.id, 'CUSTOM_A');
    await db.traits.add(node.id, 'CUSTOM_A');
    expect(await db.traits.listOf(node.id)).toEqual(['CUSTOM_A']);
    await db.traits.set(node.id, ['CUSTOM_C', 'CUSTOM_B', 'CUSTOM_C']);
    expect(await db.traits.listOf(node.id)).toEqual(['CUSTOM_B', 'CUSTOM_C']);
    expect(await db.traits.remove(node.id, 'CUSTOM_B')).toBe(true);
    expect(await db.traits.remove(node.id, 'CUSTOM_B')).toBe(false);
    expect(await db.traits.listOfMany([node.id, 99])).toEqual(new Map([[node.id, ['CUSTOM_C']]]));
  });
});

describe('conductors', () => {
  test('are entered once and show when they were last alive', async () => {
    const first = await db.conductors.register({ hostname: 'h', conductorGroup: '', drivers: ['fake-hardware'] });
    const again = await db.conductors.register({ hostname: 'h', conductorGroup: 'g', drivers: ['redfish'] });
    expect(again).toMatchObject({ id: first.id, conductorGroup: 'g', drivers: ['redfish'], createdAt: first.createdAt });
    await db.conductors.touch('h');
    expect((await db.conductors.find('h'))!.updatedAt.getTime()).toBeGreaterThanOrEqual(again.updatedAt.getTime());
    expect(await db.conductors.list()).toHaveLength(1);
  });
});
