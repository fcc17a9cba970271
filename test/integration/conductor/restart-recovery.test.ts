import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startConductor } from '../../../conductor/app.ts';
import { parseConfig } from '../../../conductor/config.ts';
import { openDatabase, type Database } from '../../../conductor/db/database.ts';
import type { NodeRow } from '../../../conductor/db/rows.ts';
import { createLogger } from '../../../protocol/log.ts';
import type { EventType, ProvisionState } from '../../../state-machine/provision-machine.ts';
import { statesWith, stepFrom } from '../../../state-machine/provision-states.ts';
import { until } from '../../rig/until.ts';
import { newNode } from '../../unit/conductor/db/node-of-tests.ts';

const HOST = 'conductor-of-tests';
/** How a node gets into each state in which work is under way, and where it must be after its conductor has died there. */
const INTERRUPTED: Readonly<Partial<Record<ProvisionState, { start: ProvisionState; by: EventType[]; ends: ProvisionState }>>> = {
  verifying: { start: 'enroll', by: ['manage'], ends: 'enroll' },
  adopting: { start: 'manageable', by: ['adopt'], ends: 'adopt failed' },
  deploying: { start: 'available', by: ['deploy'], ends: 'deploy failed' },
  cleaning: { start: 'manageable', by: ['provide'], ends: 'clean failed' },
  deleting: { start: 'active', by: ['delete'], ends: 'error' },
  snapshotting: { start: 'active', by: ['snapshot'], ends: 'snapshot failed' },
};

let directory: string;
let db: Database;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-restart-'));
  db = await openDatabase({ path: join(directory, 'metalshot.sqlite') });
});
afterEach(async () => {
  await db.close();
  await rm(directory, { recursive: true, force: true });
});

/** A node in the middle of work, locked, as a conductor leaves it that is killed. */
async function interruptedNode(state: ProvisionState, lockedBy = HOST): Promise<NodeRow> {
  const { start, by } = INTERRUPTED[state]!;
  const node = await db.nodes.create(newNode({ provisionState: start, powerState: 'power on' }));
  for (const type of by) {
    const step = stepFrom((await db.nodes.get(node.id)).provisionState, { type })!;
    const snapshot = type === 'snapshot' ? { snapshot: { uuid: randomUUID(), requestedBy: 'alice', disks: [{ imageRef: randomUUID(), imageName: 'i' }] } } : {};
    await db.nodes.reserve(node.id, lockedBy);
    const stored = await db.nodes.storeStep(node.id, step, { history: { conductor: lockedBy, user: 'alice' }, heldBy: lockedBy, ...snapshot });
    expect(stored.stored).toBe(true);
  }
  const unfinished = await db.snapshots.unfinishedOf(node.id);
  if (unfinished) await db.snapshots.setPhase(unfinished.id, 'quiesce');
  expect(await db.nodes.get(node.id)).toMatchObject({ provisionState: state, reservation: lockedBy });
  return node;
}

async function withConductor<T>(conductor: Record<string, unknown>, work: () => Promise<T>): Promise<T> {
  const config = parseConfig(
    { host: HOST, state_directory: directory, enabled_hardware_types: ['fake-hardware'], api: { port: 0 }, provisioning: { port: 0, tls: 'none' }, image_service: { embedded: { port: 0 } }, conductor: { check_interval_s: 0.1, ...conductor } },
    'the test',
  );
  const running = await startConductor(config, createLogger('conductor', 'silent'));
  try {
    return await work();
  } finally {
    await running.close();
  }
}

const settled = (node: NodeRow, state: ProvisionState): Promise<NodeRow> => {
  let seen: NodeRow | undefined;
  return until(
    `the node is ${state} and unlocked`,
    async () => {
      seen = await db.nodes.get(node.id);
      return seen.provisionState === state && seen.reservation === null ? seen : null;
    },
    15_000,
    () => seen,
  );
};

test('every state in which work can be interrupted is looked at here', () => {
  expect(Object.keys(INTERRUPTED).toSorted()).toEqual(statesWith('failsOnRestart').toSorted());
});

describe('a conductor that died while a node was', () => {
  test.each(Object.entries(INTERRUPTED))('%s: at its next start the node fails as its state does, unlocked, with the reason in last_error and history', async (state, { ends }) => {
    const node = await interruptedNode(state as ProvisionState);
    await withConductor({}, async () => {
      const now = await settled(node, ends);
      expect(now.lastError).toMatch(/restarted while the node was in state/);
      expect(now.lastError).toContain(state);
      const last = (await db.history.listOf(node.id)).findLast(({ eventType }) => eventType === 'provisioning');
      expect(last).toMatchObject({ severity: 'ERROR', user: 'system', conductor: HOST, event: expect.stringMatching(new RegExp(`^${state} -> ${ends} by "fail" after [0-9.]+ s in ${state}: .*restarted`)) });
      expect(await db.snapshots.unfinishedOf(node.id)).toBeNull();
    });
  }, 30_000);

  test('switching a server: the change is given up, and said to be uncertain', async () => {
    const node = await db.nodes.create(newNode({ provisionState: 'active', powerState: 'power on', targetPowerState: 'power off' }));
    await db.nodes.reserve(node.id, HOST);
    await withConductor({}, async () => {
      expect(await settled(node, 'active')).toMatchObject({ targetPowerState: null, lastError: expect.stringMatching(/"power off" was under way.*restarted/) });
    });
  }, 30_000);
});

test('another conductor that dies: its locks are taken back and its work is settled, while ours goes on', async () => {
  await withConductor({ conductor_timeout_s: 0.5 }, async () => {
    await db.conductors.register({ hostname: 'another', conductorGroup: '', drivers: ['fake-hardware'] });
    const [working, waiting] = [await interruptedNode('deploying', 'another'), await db.nodes.create(newNode({ provisionState: 'active' }))];
    await db.nodes.reserve(waiting.id, 'another');
    expect(await settled(working, 'deploy failed')).toMatchObject({ lastError: expect.stringMatching(/conductor another died while the node was in state "deploying"/) });
    expect(await settled(waiting, 'active')).toMatchObject({ lastError: null });
    expect((await db.history.listOf(waiting.id)).at(-1)).toMatchObject({ eventType: 'takeover' });
  });
}, 30_000);

test('work that could not store how it ended, and left its node unlocked: the node is taken up and settled', async () => {
  await withConductor({}, async () => {
    const node = await interruptedNode('deploying', 'conductor-of-tests');
    await db.nodes.release(node.id, 'conductor-of-tests');
    expect(await settled(node, 'deploy failed')).toMatchObject({ lastError: expect.stringMatching(/its work was lost while the node was in state "deploying"/i) });
  });
}, 30_000);
