import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import type { NewOperation } from '../../../../conductor/db/operation-store.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { stepFrom } from '../../../../state-machine/provision-states.ts';
import { newNode } from './node-of-tests.ts';

let db: Database;
let node: NodeRow;
beforeEach(async () => {
  db = await openDatabase({ path: ':memory:' });
  node = await db.nodes.create(newNode({ provisionState: 'active' }));
});
afterEach(() => db.close());

const deployment = (more: Partial<NewOperation> = {}): NewOperation => ({ uuid: randomUUID(), kind: 'rebuild', requestedBy: 'u', image: { source: 'an image' }, generalize: { hostname: 'copy' }, ...more });
const step = stepFrom('active', { type: 'rebuild' })!;
const history = { conductor: 'c', user: 'u' };

test('a deployment begins with the step that it belongs to, with its image first', async () => {
  const operation = deployment();
  expect(await db.nodes.storeStep(node.id, step, { history, operation })).toMatchObject({ stored: true });
  expect(await db.operations.unfinishedOf(node.id)).toMatchObject({ ...operation, nodeId: node.id, phase: 'fetch image', status: 'unfinished', diskTouched: false, device: null, report: null, finishedAt: null });
});

test('a step that is not stored begins none', async () => {
  await db.nodes.reserve(node.id, 'somebody');
  expect(await db.nodes.storeStep(node.id, step, { history, operation: deployment() })).toMatchObject({ stored: false });
  expect(await db.operations.latestOf(node.id)).toBeNull();
});

test('an operation that can not be stored takes its step back', async () => {
  const operation = deployment();
  const other = await db.nodes.create(newNode({ provisionState: 'active' }));
  await db.operations.create(other.id, operation);
  await expect(db.nodes.storeStep(node.id, step, { history, operation })).rejects.toThrow();
  expect((await db.nodes.get(node.id)).provisionState).toBe('active');
});

test('a cleaning begins with the server going down, and names no image', async () => {
  const row = await db.operations.create(node.id, deployment({ kind: 'clean', image: null, generalize: null }));
  expect(row).toMatchObject({ kind: 'clean', phase: 'quiesce', image: null, generalize: null });
});

test('phases are stored with their time, figures and reports come back as they were stored', async () => {
  const { id, phaseStartedAt } = await db.operations.create(node.id, deployment());
  const huge = 7_654_321_987_654;
  await db.operations.setPhase(id, 'running');
  await db.operations.update(id, { bytesDone: huge, bytesTotal: huge + 1, step: 'writing', diskTouched: true, commandId: 'c-1', device: { serial: 's' }, report: { backup_gpt: 'moved' } });
  const row = await db.operations.latestOf(node.id);
  expect(row).toMatchObject({ phase: 'running', bytesDone: huge, bytesTotal: huge + 1, step: 'writing', diskTouched: true, commandId: 'c-1', device: { serial: 's' }, report: { backup_gpt: 'moved' } });
  expect(row!.phaseStartedAt.getTime()).toBeGreaterThanOrEqual(phaseStartedAt.getTime());
  await expect(db.operations.update(id, {})).resolves.toBeUndefined();
});

test('the end voids the credential; a failed one keeps its phase, a done one is finished; a second end changes nothing', async () => {
  const failed = await db.operations.create(node.id, deployment());
  await db.operations.update(failed.id, { credentialHash: 'h' });
  expect((await db.operations.byCredentialHash('h'))?.id).toBe(failed.id);
  await db.operations.finish(failed.id, 'failed', 'no disk fits');
  await db.operations.finish(failed.id, 'done', null);
  expect(await db.operations.byCredentialHash('h')).toBeNull();
  expect(await db.operations.latestOf(node.id)).toMatchObject({ status: 'failed', phase: 'fetch image', error: 'no disk fits', credentialHash: null, finishedAt: expect.any(Date) });
  expect(await db.operations.unfinishedOf(node.id)).toBeNull();

  const done = await db.operations.create(node.id, deployment());
  await db.operations.finish(done.id, 'done', null);
  expect(await db.operations.latestOf(node.id)).toMatchObject({ id: done.id, status: 'done', phase: 'finished', error: null });
});

test('the newest of many nodes is found at once', async () => {
  const other = await db.nodes.create(newNode());
  const without = await db.nodes.create(newNode());
  await db.operations.create(node.id, deployment());
  const newest = await db.operations.create(node.id, deployment());
  const others = await db.operations.create(other.id, deployment());
  expect(await db.operations.latestOfMany([node.id, other.id, without.id])).toEqual(new Map([[node.id, newest], [other.id, others]]));
  expect(await db.operations.latestOfMany([])).toEqual(new Map());
});

test('the disk of a node is that of its newest operation that ended well and knows one', async () => {
  expect(await db.operations.latestWithDevice(node.id)).toBeNull();
  for (const [serial, status] of [['old', 'done'], ['good', 'done'], [null, 'done'], ['of a failure', 'failed']] as const) {
    const { id } = await db.operations.create(node.id, deployment());
    if (serial !== null) await db.operations.update(id, { device: { serial } });
    await db.operations.finish(id, status, null);
  }
  expect((await db.operations.latestWithDevice(node.id))?.device).toEqual({ serial: 'good' });
});

test('operations go with their node', async () => {
  await db.operations.create(node.id, deployment());
  await db.nodes.delete(node.id);
  expect(await db.operations.unfinished()).toEqual([]);
});
