import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import type { NewSnapshot } from '../../../../conductor/db/snapshot-store.ts';
import type { ProvisionEvent, ProvisionState } from '../../../../state-machine/provision-machine.ts';
import { stepFrom, type Step } from '../../../../state-machine/provision-states.ts';
import { newNode } from './node-of-tests.ts';

let db: Database;
let node: NodeRow;
beforeEach(async () => {
  db = await openDatabase({ path: ':memory:' });
  node = await db.nodes.create(newNode({ provisionState: 'active' }));
});
afterEach(() => db.close());

const step = (state: ProvisionState, event: ProvisionEvent['type']): Step => stepFrom(state, { type: event })!;
const history = { conductor: 'host-1', user: 'admin' };
const snapshotInto = (imageRef: string): NewSnapshot => ({ uuid: randomUUID(), requestedBy: 'admin', disks: [{ imageRef, imageName: `${imageRef}.qcow2` }] });

describe('a step', () => {
  test('stores the state, its target, the patch, the history and the snapshot together', async () => {
    const imageRef = randomUUID();
    await db.nodes.reserve(node.id, 'host-1');
    const stored = await db.nodes.storeStep(node.id, step('active', 'snapshot'), { heldBy: 'host-1', patch: { lastError: null, bootBack: 'pending' }, history, snapshot: snapshotInto(imageRef) });
    expect(stored).toMatchObject({
      stored: true,
      node: { provisionState: 'snapshotting', targetProvisionState: 'active', reservation: 'host-1', bootBack: 'pending' },
      snapshot: { nodeId: node.id, phase: 'queue', status: 'unfinished', disks: [{ position: 0, imageRef, heldImageRef: imageRef, formatsSet: [] }] },
    });
    const after = await db.nodes.get(node.id);
    expect(after.provisionUpdatedAt).toBeInstanceOf(Date);
    expect(after.updatedAt).toEqual(after.provisionUpdatedAt);
    expect(await db.history.listOf(node.id)).toMatchObject([{ conductor: 'host-1', user: 'admin', severity: 'INFO', eventType: 'provisioning', event: expect.stringMatching(/^active -> snapshotting by "snapshot" after \d+\.\d s in active$/) }]);
    expect(await db.snapshots.latestOf(node.id)).toEqual(stored.stored && stored.snapshot);
  });

  test('into a stable state has no target; with an error it is a line of severity ERROR', async () => {
    await db.nodes.storeStep(node.id, step('active', 'snapshot'), { history });
    await db.nodes.reserve(node.id, 'host-1');
    const done = await db.nodes.storeStep(node.id, step('snapshotting', 'done'), { heldBy: 'host-1', release: true, history });
    expect(done).toMatchObject({ stored: true, node: { provisionState: 'active', targetProvisionState: null, reservation: null } });
    await db.nodes.storeStep(node.id, step('active', 'snapshot'), { history });
    await db.nodes.reserve(node.id, 'host-1');
    await db.nodes.storeStep(node.id, step('snapshotting', 'fail'), { heldBy: 'host-1', history: { ...history, error: 'no space' } });
    expect((await db.history.listOf(node.id)).at(-1)).toMatchObject({ severity: 'ERROR', event: expect.stringMatching(/: no space$/) });
    expect((await db.nodes.get(node.id)).reservation).toBe('host-1');
  });

  test('of many at once, exactly one is stored', async () => {
    const all = await Promise.all(Array.from({ length: 25 }, () => db.nodes.storeStep(node.id, step('active', 'snapshot'), { history })));
    expect(all.filter(({ stored }) => stored)).toHaveLength(1);
    expect(all.filter((one) => !one.stored && one.reason === 'state')).toHaveLength(24);
    expect(await db.history.listOf(node.id)).toHaveLength(1);
  });

  test('is refused while another holds the lock, also for one who does not want it', async () => {
    await db.nodes.reserve(node.id, 'other');
    for (const options of [{ heldBy: 'host-1' }, {}]) {
      expect(await db.nodes.storeStep(node.id, step('active', 'snapshot'), { ...options, history })).toMatchObject({ stored: false, reason: 'locked', node: { provisionState: 'active', reservation: 'other' } });
    }
    expect(await db.history.listOf(node.id)).toEqual([]);
  });

  test('from a state that the node has left is refused, and the answer has the node as it is', async () => {
    await db.nodes.reserve(node.id, 'host-1');
    expect(await db.nodes.storeStep(node.id, step('snapshot wait', 'resume'), { heldBy: 'host-1', history })).toMatchObject({ stored: false, reason: 'state', node: { provisionState: 'active' } });
    await expect(db.nodes.storeStep(999, step('active', 'snapshot'), { history })).rejects.toMatchObject({ httpStatus: 404 });
  });
});

describe('a holder', () => {
  test('is the target of one unfinished snapshot only: the second step is undone whole', async () => {
    const other = await db.nodes.create(newNode({ provisionState: 'active' }));
    const imageRef = randomUUID();
    const begin = (id: number, ref: string): ReturnType<Database['nodes']['storeStep']> => db.nodes.storeStep(id, step('active', 'snapshot'), { history, snapshot: snapshotInto(ref) });
    const results = await Promise.all([begin(node.id, imageRef), begin(other.id, imageRef.toUpperCase())]);
    expect(results).toMatchObject([{ stored: true }, { stored: false, reason: 'holder in use', node: { provisionState: 'active', reservation: null } }]);
    expect(await db.nodes.get(other.id)).toEqual(other);
    expect(await db.history.listOf(other.id)).toEqual([]);
    expect(await db.snapshots.latestOf(other.id)).toBeNull();
    expect(await db.snapshots.holderInUse(imageRef.toUpperCase())).toBe(true);

    const first = await db.snapshots.unfinishedOf(node.id);
    await db.snapshots.finish(first!.id, 'failed', 'x');
    expect(await db.snapshots.holderInUse(imageRef)).toBe(false);
    expect(await begin(other.id, imageRef)).toMatchObject({ stored: true });
  });
});
