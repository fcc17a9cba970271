import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import type { NodeRow, SnapshotRow } from '../../../../conductor/db/rows.ts';
import { stepFrom } from '../../../../state-machine/provision-states.ts';
import { newNode } from './node-of-tests.ts';

let db: Database;
let node: NodeRow;
beforeEach(async () => {
  db = await openDatabase({ path: ':memory:' });
  node = await db.nodes.create(newNode({ provisionState: 'active' }));
});
afterEach(() => db.close());

const begin = async (of: NodeRow, disks = 1): Promise<SnapshotRow> => {
  const holders = Array.from({ length: disks }, () => ({ imageRef: randomUUID(), imageName: 'image' }));
  const stored = await db.nodes.storeStep(of.id, stepFrom('active', { type: 'snapshot' })!, { history: { conductor: 'c', user: 'u' }, snapshot: { uuid: randomUUID(), requestedBy: 'u', disks: holders } });
  if (!stored.stored || !stored.snapshot) throw new Error('not stored');
  return stored.snapshot;
};
const back = (of: NodeRow): Promise<unknown> => db.nodes.storeStep(of.id, stepFrom('snapshotting', { type: 'done' })!, { history: { conductor: 'c', user: 'u' } });

test('a phase is stored with the time it began', async () => {
  const { id, phaseStartedAt } = await begin(node);
  await db.snapshots.setPhase(id, 'streaming');
  const row = await db.snapshots.latestOf(node.id);
  expect(row?.phase).toBe('streaming');
  expect(row!.phaseStartedAt.getTime()).toBeGreaterThanOrEqual(phaseStartedAt.getTime());
});

test('sizes beyond 32 bits, digests and the device come back as they were stored, by disk', async () => {
  const { id } = await begin(node, 2);
  const huge = 7_654_321_987_654;
  await db.snapshots.update(id, { bytesDone: huge, bytesTotal: huge + 1, commandId: 'c-1', step: 'converting' });
  await db.snapshots.updateDisk(id, 1, { sizeBytes: huge, osHashAlgo: 'sha512', osHashValue: 'ab', device: { name: 'vda', size_bytes: huge }, formatsSet: ['disk_format'] });
  const row = await db.snapshots.latestOf(node.id);
  expect(row).toMatchObject({ bytesDone: huge, bytesTotal: huge + 1, commandId: 'c-1', step: 'converting' });
  expect(row?.disks).toMatchObject([
    { position: 0, sizeBytes: null, device: null, formatsSet: [] },
    { position: 1, sizeBytes: huge, device: { name: 'vda', size_bytes: huge }, formatsSet: ['disk_format'] },
  ]);
  await expect(db.snapshots.update(id, {})).resolves.toBeUndefined();
});

test('the end voids the credential; a failed one keeps its phase, a done one is finished; a second end changes nothing', async () => {
  const failed = await begin(node);
  await db.snapshots.update(failed.id, { credentialHash: 'h1' });
  await db.snapshots.setPhase(failed.id, 'upload');
  expect((await db.snapshots.byCredentialHash('h1'))?.id).toBe(failed.id);
  await db.snapshots.finish(failed.id, 'failed', 'the image was deleted');
  expect(await db.snapshots.byCredentialHash('h1')).toBeNull();
  await db.snapshots.finish(failed.id, 'done', null);
  expect(await db.snapshots.latestOf(node.id)).toMatchObject({ status: 'failed', phase: 'upload', error: 'the image was deleted', credentialHash: null, finishedAt: expect.any(Date), disks: [{ heldImageRef: null, imageRef: failed.disks[0]!.imageRef }] });
  expect(await db.snapshots.unfinishedOf(node.id)).toBeNull();

  await back(node);
  const done = await begin(node);
  await db.snapshots.finish(done.id, 'done', null);
  expect(await db.snapshots.latestOf(node.id)).toMatchObject({ id: done.id, status: 'done', phase: 'finished', error: null });
});

test('the newest of many nodes is found at once', async () => {
  const other = await db.nodes.create(newNode({ provisionState: 'active' }));
  const without = await db.nodes.create(newNode());
  const old = await begin(node);
  await db.snapshots.finish(old.id, 'done', null);
  await back(node);
  const newest = await begin(node);
  const others = await begin(other, 2);
  const latest = await db.snapshots.latestOfMany([node.id, other.id, without.id]);
  expect([...latest].sort(([a], [b]) => a - b)).toEqual([
    [node.id, newest],
    [other.id, others],
  ]);
  expect(await db.snapshots.latestOfMany([])).toEqual(new Map());
});

test('captures under way are counted by phase, and the one that waits longest is first', async () => {
  const other = await db.nodes.create(newNode({ provisionState: 'active' }));
  const first = await begin(node);
  const second = await begin(other);
  expect(await db.snapshots.countInPhases(['queue', 'streaming'])).toBe(2);
  expect((await db.snapshots.oldestInPhase('queue'))?.id).toBe(first.id);
  await db.snapshots.setPhase(first.id, 'streaming');
  expect((await db.snapshots.oldestInPhase('queue'))?.id).toBe(second.id);
  await db.snapshots.finish(first.id, 'failed', 'x');
  expect(await db.snapshots.countInPhases(['queue', 'streaming'])).toBe(1);
  expect(await db.snapshots.oldestInPhase('streaming')).toBeNull();
  expect((await db.snapshots.unfinished()).map(({ id }) => id)).toEqual([second.id]);
});
