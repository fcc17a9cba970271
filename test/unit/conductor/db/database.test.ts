import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createDataSource, openDatabase, type Database } from '../../../../conductor/db/database.ts';
import { MIGRATIONS } from '../../../../conductor/db/migrations/migrations.ts';
import { newNode } from './node-of-tests.ts';

let directory: string;
let open: Database[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-db-'));
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((database) => database.close()));
  await rm(directory, { recursive: true, force: true });
});
const openAt = async (path: string): Promise<Database> => {
  const database = await openDatabase({ path });
  open.push(database);
  return database;
};

describe('the schema', () => {
  test('is made from nothing by the migrations and is then exactly what the entities describe', async () => {
    const source = createDataSource(join(directory, 'db'));
    await source.initialize();
    try {
      const missing = await source.driver.createSchemaBuilder().log();
      expect(missing.upQueries.length).toBeGreaterThan(0); // the comparison sees differences
      await source.runMigrations();
      const left = await source.driver.createSchemaBuilder().log();
      expect(left.upQueries.map(({ query }) => query)).toEqual([]);
      expect(await source.showMigrations()).toBe(false);
    } finally {
      await source.destroy();
    }
  });

  test('can be taken back to nothing', async () => {
    const source = createDataSource(':memory:');
    await source.initialize();
    try {
      await source.runMigrations();
      for (const _ of MIGRATIONS) await source.undoLastMigration();
      const tables: { name: string }[] = await source.query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('migrations', 'sqlite_sequence')`);
      expect(tables).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  test('enforces foreign keys and writes ahead', async () => {
    const source = createDataSource(join(directory, 'db'));
    await source.initialize();
    try {
      await source.runMigrations();
      expect(await source.query('PRAGMA foreign_keys')).toEqual([{ foreign_keys: 1 }]);
      expect(await source.query('PRAGMA journal_mode')).toEqual([{ journal_mode: 'wal' }]);
      expect(await source.query('PRAGMA busy_timeout')).toEqual([{ timeout: 5000 }]);
      expect(await source.query('PRAGMA synchronous')).toEqual([{ synchronous: 2 }]);
    } finally {
      await source.destroy();
    }
  });
});

describe('the file', () => {
  test('and its journals are readable by their owner only, also when the file was there with wider rights', async () => {
    const path = join(directory, 'new', 'db');
    const database = await openAt(path);
    await database.nodes.create(newNode());
    const files = await readdir(join(directory, 'new'));
    expect(files).toEqual(expect.arrayContaining(['db', 'db-wal']));
    for (const file of files) expect((await stat(join(directory, 'new', file))).mode & 0o777).toBe(0o600);

    await writeFile(join(directory, 'wide'), '', { mode: 0o644 });
    await openAt(join(directory, 'wide'));
    expect((await stat(join(directory, 'wide'))).mode & 0o777).toBe(0o600);
  });

  test('that is no database is refused with its name', async () => {
    const path = join(directory, 'text');
    await writeFile(path, 'this is a text and by no means a database, whatever its name may say');
    await expect(openDatabase({ path })).rejects.toThrow(`cannot open the database ${path}`);
  });

  test('keeps what was stored over a restart, to the millisecond', async () => {
    const path = join(directory, 'db');
    const before = await openAt(path);
    const at = new Date('2026-11-21T07:47:50.052Z');
    const node = await before.nodes.create(newNode({ name: 'n1', driverInfo: { a: { b: [1, null, 'x'] } }, automatedClean: false, agentLastHeartbeatAt: at, powerOffDue: 'ramdisk' }));
    await before.nodes.reserve(node.id, 'host-1');
    await before.ports.create({ nodeId: node.id, address: '52:54:00:AA:BB:CC' });
    await before.traits.set(node.id, ['CUSTOM_B', 'CUSTOM_A']);
    await before.conductors.register({ hostname: 'host-1', conductorGroup: '', drivers: ['redfish'] });
    await before.close();

    const after = await openAt(path);
    const again = await after.nodes.find('n1');
    expect(again).toEqual({ ...node, reservation: 'host-1' });
    expect(again?.agentLastHeartbeatAt?.toISOString()).toBe('2026-11-21T07:47:50.052Z');
    expect(again).toMatchObject({ driverInfo: { a: { b: [1, null, 'x'] } }, automatedClean: false, maintenance: false, powerOffDue: 'ramdisk' });
    expect((await after.ports.ofNode(node.id)).map(({ address }) => address)).toEqual(['52:54:00:aa:bb:cc']);
    expect(await after.traits.listOf(node.id)).toEqual(['CUSTOM_A', 'CUSTOM_B']);
    expect(await after.conductors.find('host-1')).toMatchObject({ drivers: ['redfish'] });
  });
});

describe('closing', () => {
  test('stores what was asked for before, and takes nothing more', async () => {
    const path = join(directory, 'db');
    const database = await openAt(path);
    const uuids = Array.from({ length: 20 }, () => randomUUID());
    const written = uuids.map((uuid) => database.traits.listOf(1).then(() => uuid));
    const created = database.nodes.create(newNode({ name: 'last' })).catch((error: Error) => error.message);
    await database.close();
    await Promise.all(written);
    await created;
    await expect(database.nodes.list()).rejects.toThrow('the database is closed');
    expect(await (await openAt(path)).nodes.find('last')).not.toBeNull();
    await expect(database.close()).resolves.toBeUndefined();
  });
});

test('one node\'s failed transaction takes nothing of the work beside it along', async () => {
  const database = await openAt(join(directory, 'db'));
  const node = await database.nodes.create(newNode());
  const results = await Promise.allSettled([
    ...Array.from({ length: 30 }, (_, index) => database.nodes.create(newNode({ name: `n${index}` }))),
    // refused in the middle of its transaction: the node does not exist
    ...Array.from({ length: 30 }, () => database.traits.set(999_999, ['CUSTOM_X'])),
    ...Array.from({ length: 30 }, (_, index) => database.history.record({ nodeId: node.id, conductor: 'c', user: 'u', eventType: 'power', severity: 'INFO', event: `e${index}` })),
    database.traits.set(node.id, ['CUSTOM_Y']),
  ]);
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(30);
  expect(await database.nodes.list()).toHaveLength(31);
  expect((await database.history.listOf(node.id)).map(({ event }) => event)).toEqual(Array.from({ length: 30 }, (_, index) => `e${index}`));
  expect(await database.traits.listOf(node.id)).toEqual(['CUSTOM_Y']);
});

test('two conductors that write at the same time wait for each other: none is told that the database is busy', async () => {
  const path = join(directory, 'shared');
  const both = [await openAt(path), await openAt(path)] as const;
  const work = both.flatMap((database, who) =>
    Array.from({ length: 60 }, async (_, turn) => {
      const node = await database.nodes.create(newNode());
      await database.traits.add(node.id, `CUSTOM_${who}_${turn}`); // reads, then writes
      return database.traits.listOf(node.id);
    }),
  );
  expect((await Promise.all(work)).flat()).toHaveLength(120);
}, 60_000);
