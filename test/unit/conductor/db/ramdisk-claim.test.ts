import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import { newNode } from './node-of-tests.ts';

let directory: string;
let databases: Database[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-claim-'));
  const path = join(directory, 'db.sqlite');
  databases = [await openDatabase({ path })];
  databases.push(await openDatabase({ path }));
});
afterEach(async () => {
  for (const db of databases) await db.close();
  await rm(directory, { recursive: true, force: true });
});

test('of all who claim the ramdisk of a boot at once, on two connections, one gets it, and its hash is what is stored', async () => {
  const [db] = databases as [Database, Database];
  const { id } = await db.nodes.create(newNode());
  await db.nodes.update(id, { ramdiskBoot: 'armed' });
  const { updatedAt } = await db.nodes.get(id);
  const hashes = Array.from({ length: 20 }, (_value, index) => `hash ${index}`);
  const won = await Promise.all(hashes.map((hash, index) => databases[index % 2]!.nodes.claimRamdiskBoot(id, hash)));
  expect(won.filter(Boolean)).toHaveLength(1);
  expect(await db.nodes.get(id)).toMatchObject({ ramdiskBoot: 'served', bootNonceHash: hashes[won.indexOf(true)], updatedAt });
});

test.each([null, 'served', 'left'] as const)('a boot that is %s is not to be had', async (ramdiskBoot) => {
  const [db] = databases as [Database, Database];
  const { id } = await db.nodes.create(newNode());
  await db.nodes.update(id, { ramdiskBoot, bootNonceHash: 'before' });
  expect(await db.nodes.claimRamdiskBoot(id, 'after')).toBe(false);
  expect(await db.nodes.get(id)).toMatchObject({ ramdiskBoot, bootNonceHash: 'before' });
});

test('a ramdisk that was handed out is left once, and its hash stays; one that was not handed out can not be left', async () => {
  const [db, other] = databases as [Database, Database];
  const { id } = await db.nodes.create(newNode());
  for (const ramdiskBoot of [null, 'armed'] as const) {
    await db.nodes.update(id, { ramdiskBoot });
    expect(await db.nodes.noteRamdiskLeft(id)).toBe(false);
    expect((await db.nodes.get(id)).ramdiskBoot).toBe(ramdiskBoot);
  }
  await db.nodes.update(id, { ramdiskBoot: 'served', bootNonceHash: 'hash' });
  const noted = await Promise.all([db, other, db].map(({ nodes }) => nodes.noteRamdiskLeft(id)));
  expect(noted.filter(Boolean)).toHaveLength(1);
  expect(await other.nodes.get(id)).toMatchObject({ ramdiskBoot: 'left', bootNonceHash: 'hash' });
});
