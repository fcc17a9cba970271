import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { takeBackLocks } from '../../../../conductor/workflow/lock-takeback.ts';
import { abandonPowerChanges } from '../../../../conductor/workflow/interrupted-power.ts';
import type { Executors } from '../../../../conductor/workflow/work.ts';
import { until } from '../../../rig/until.ts';
import { HOST, WorkflowStage } from './workflow-stage.ts';

/** What is settled here has no intention that follows from its failure. */
const NO_EXECUTORS = {} as Executors;
const DEAD = 'conductor-that-died';

let stage: WorkflowStage;
beforeEach(async () => {
  stage = await WorkflowStage.start({ conductorTimeoutMs: 50 });
  for (const hostname of [HOST, DEAD]) await stage.db.conductors.register({ hostname, conductorGroup: '', drivers: [] });
});
afterEach(() => stage.close());

/** The other conductor is not seen for its whole time. */
const dies = (): Promise<unknown> => until('the other conductor counts as dead', async () => ((await stage.db.conductors.find(DEAD))?.updatedAt.getTime() ?? 0) < Date.now() - 50);

test('a lock of a conductor that is alive is left to it', async () => {
  const node = await stage.machineNode();
  await stage.db.nodes.reserve(node.id, DEAD);
  await takeBackLocks({ ...stage.parts, duties: { ...stage.parts.duties, conductorTimeoutMs: 60_000 } }, NO_EXECUTORS);
  expect((await stage.db.nodes.get(node.id)).reservation).toBe(DEAD);
});

test('locks of a dead conductor are let go, our own and strangers\' stay; history tells', async () => {
  const [held, own, strange] = [await stage.machineNode(), await stage.machineNode(), await stage.machineNode()];
  await stage.db.nodes.reserve(held.id, DEAD);
  await stage.db.nodes.reserve(own.id, HOST);
  await stage.db.nodes.reserve(strange.id, 'a name that never registered');
  await dies();
  await takeBackLocks(stage.parts, NO_EXECUTORS);
  await until('the lock is free', async () => (await stage.db.nodes.get(held.id)).reservation === null);
  expect((await stage.db.nodes.get(own.id)).reservation).toBe(HOST);
  expect((await stage.db.nodes.get(strange.id)).reservation).toBe('a name that never registered');
  expect(await stage.history(held)).toMatchObject([{ eventType: 'takeover', severity: 'ERROR', conductor: HOST, event: expect.stringContaining(DEAD) }]);
});

test('work that a dead conductor had under way fails, with its name in last_error', async () => {
  const node = await stage.walk(await stage.machineNode(0, { provisionState: 'enroll' }), ['manage'], DEAD);
  expect(node).toMatchObject({ provisionState: 'verifying', reservation: DEAD });
  await dies();
  await takeBackLocks(stage.parts, NO_EXECUTORS);
  const failed = await until('the node is settled', async () => {
    const now = await stage.db.nodes.get(node.id);
    return now.reservation === null ? now : null;
  });
  expect(failed).toMatchObject({ provisionState: 'enroll', lastError: expect.stringMatching(/^The conductor conductor-that-died died while the node was in state "verifying"/) });
});

test('a power change that a dead conductor had under way is abandoned, and said to be uncertain', async () => {
  const node = await stage.machineNode();
  await stage.db.nodes.reserve(node.id, DEAD);
  await stage.db.nodes.update(node.id, { targetPowerState: 'power on' });
  await dies();
  await takeBackLocks(stage.parts, NO_EXECUTORS);
  const now = await until('the lock is free', async () => {
    const seen = await stage.db.nodes.get(node.id);
    return seen.reservation === null ? seen : null;
  });
  expect(now).toMatchObject({ targetPowerState: null, lastError: expect.stringMatching(/change to "power on" was under way when the conductor .* died; whether it was carried out is not known/) });
});

test('power changes that a restart has cut short are abandoned, others untouched', async () => {
  const [cut, idle] = [await stage.machineNode(0, { targetPowerState: 'power off' }), await stage.machineNode()];
  await abandonPowerChanges(stage.parts);
  expect(await stage.db.nodes.get(cut.id)).toMatchObject({ targetPowerState: null, lastError: expect.stringContaining('was restarted') });
  expect(await stage.db.nodes.get(idle.id)).toEqual(idle);
  expect(await stage.history(cut)).toMatchObject([{ eventType: 'conductor', severity: 'ERROR' }]);
});
