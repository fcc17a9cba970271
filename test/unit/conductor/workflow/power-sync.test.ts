import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { NewNode } from '../../../../conductor/db/node-store.ts';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { FaultRecovery } from '../../../../conductor/workflow/fault-recovery.ts';
import type { DutyOptions } from '../../../../conductor/workflow/parts.ts';
import { PowerSync, isSynced, underLock } from '../../../../conductor/workflow/power-sync.ts';
import { PROVISION_STATES } from '../../../../state-machine/provision-states.ts';
import { until } from '../../../rig/until.ts';
import { newNode } from '../db/node-of-tests.ts';
import { HOST, WorkflowStage } from './workflow-stage.ts';

let stage: WorkflowStage;
afterEach(() => stage.close());

async function begin(duties: Partial<DutyOptions> = {}, machines = 1): Promise<PowerSync> {
  stage = await WorkflowStage.start(duties, machines);
  return new PowerSync(stage.parts);
}

/** A round, and what `seen` makes of the node after it. */
async function roundUntil(sync: { round(): Promise<void> }, node: NodeRow, condition: string, seen: (node: NodeRow) => boolean): Promise<NodeRow> {
  await sync.round();
  return until(condition, async () => {
    const now = await stage.db.nodes.get(node.id);
    return seen(now) && now.reservation === null ? now : null;
  });
}
const cutBmc = (): void => stage.rack.machine('machine-0').setFaults({ bmc: { mode: 'drop' } });
const mendBmc = (): void => stage.rack.machine('machine-0').setFaults({ bmc: null });

describe('the power state of a node', () => {
  test('is recorded with the first answer of its BMC, without a line of history', async () => {
    const sync = await begin();
    const node = await stage.machineNode();
    const now = await roundUntil(sync, node, 'the state is recorded', ({ powerState }) => powerState !== null);
    expect(now.powerState).toBe('power off');
    expect(await stage.history(node)).toEqual([]);
  });

  test('that changed behind our back is recorded, with a line of history that names both', async () => {
    const sync = await begin();
    const node = await stage.machineNode(0, { powerState: 'power off' });
    await stage.rack.machine('machine-0').reset('On');
    await roundUntil(sync, node, 'the state is recorded', ({ powerState }) => powerState === 'power on');
    const [line] = await until('the history has a line', async () => ((await stage.history(node)).length > 0 ? stage.history(node) : null));
    expect(line).toMatchObject({ eventType: 'monitoring', severity: 'INFO', user: 'system', conductor: HOST, event: expect.stringMatching(/recorded as "power off" and found as "power on"/) });
  });

  test('is brought back when the configuration says so, and history tells', async () => {
    const sync = await begin({ forcePowerState: true });
    const node = await stage.machineNode(0, { powerState: 'power on' });
    await sync.round();
    await until('the machine is on again', () => stage.rack.machine('machine-0').powerState === 'On');
    const [line] = await until('the history has a line', async () => ((await stage.history(node)).length > 0 ? stage.history(node) : null));
    expect(line?.event).toMatch(/brought back to "power on"/);
    expect(await until('the lock is let go', async () => ((await stage.db.nodes.get(node.id)).reservation === null ? stage.db.nodes.get(node.id) : null))).toMatchObject({ powerState: 'power on', targetPowerState: null, maintenance: false });
  });

  test('that can not be brought back ends in maintenance, with what is found recorded', async () => {
    const sync = await begin({ forcePowerState: true, powerSyncAttempts: 2 });
    const node = await stage.machineNode(0, { powerState: 'power on' });
    stage.rack.machine('machine-0').setFaults({ power_on: 'refused' });
    const now = await until('the node is in maintenance', async () => {
      await sync.round();
      const seen = await stage.db.nodes.get(node.id);
      return seen.maintenance && seen.reservation === null ? seen : null;
    });
    expect(now).toMatchObject({ maintenance: true, fault: 'power failure', powerState: 'power off', targetPowerState: null, lastError: expect.stringMatching(/could not be brought back to "power on"/) });
  });
});

describe('a BMC that does not answer', () => {
  test('puts its node into maintenance after as many failures in a row as configured, saying why; once it answers, the node is back by itself', async () => {
    const sync = await begin({ powerSyncAttempts: 3 });
    const node = await stage.machineNode(0, { powerState: 'power on' });
    cutBmc();
    const failed = await until('the node is in maintenance', async () => {
      await sync.round();
      const now = await stage.db.nodes.get(node.id);
      return now.maintenance && now.reservation === null ? now : null;
    });
    expect(failed).toMatchObject({ fault: 'power failure', powerState: null, maintenanceReason: expect.stringMatching(/3 times in a row.*BMC/), lastError: failed.maintenanceReason });
    const history = await stage.history(node);
    expect(history).toMatchObject([{ eventType: 'monitoring', severity: 'ERROR', event: failed.maintenanceReason }]);

    const recovery = new FaultRecovery(stage.parts);
    await recovery.round();
    mendBmc();
    const mended = await until('the node is out of maintenance', async () => {
      await recovery.round();
      const now = await stage.db.nodes.get(node.id);
      return now.maintenance || now.reservation !== null ? null : now;
    });
    expect(mended).toMatchObject({ fault: null, maintenanceReason: null, powerState: 'power off', lastError: null });
    expect((await stage.history(node)).at(-1)).toMatchObject({ severity: 'INFO', event: expect.stringMatching(/answers again/) });
  });

  test('now and then does no harm: only failures in a row count', async () => {
    const sync = await begin({ powerSyncAttempts: 2 });
    const node = await stage.machineNode(0, { powerState: 'power off' });
    for (let times = 1; times <= 3; times += 1) {
      stage.rack.machine('machine-0').setFaults({ bmc: { mode: 'drop', requests: 1 } });
      await sync.round();
      await until('the BMC was asked', () => stage.rack.machine('machine-0').faults.bmc === null);
      // a success in between: seen by a change that it records
      await stage.rack.machine('machine-0').reset(times % 2 === 1 ? 'On' : 'ForceOff');
      await until('the state is recorded', async () => {
        await sync.round();
        return (await stage.db.nodes.get(node.id)).powerState === (times % 2 === 1 ? 'power on' : 'power off');
      });
    }
    expect(await stage.db.nodes.get(node.id)).toMatchObject({ maintenance: false, fault: null });
  });

  test('holds up no other: the others are asked while it hangs', async () => {
    const sync = await begin();
    const silent = createServer().listen(0, '127.0.0.1'); // takes connections and never says a word
    const sockets = new Set<Socket>();
    silent.on('connection', (socket) => sockets.add(socket));
    try {
      await once(silent, 'listening');
      const slow = await stage.machineNode(0, { driverInfo: { redfish_address: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`, redfish_system_id: '/redfish/v1/Systems/1' } });
      const node = await stage.machineNode();
      await roundUntil(sync, node, 'the other is recorded', ({ powerState }) => powerState === 'power off');
      expect(sockets.size).toBeGreaterThan(0);
      await stage.rack.machine('machine-0').reset('On');
      await roundUntil(sync, node, 'the next round reaches it too', ({ powerState }) => powerState === 'power on');
      expect(await stage.db.nodes.get(slow.id)).toEqual(slow);
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
      await once(silent, 'close');
    }
  });

  test('of a node that was never set up for it is no failure', async () => {
    const sync = await begin({ powerSyncAttempts: 1 }, 2);
    const incomplete = await stage.machineNode(0, { driverInfo: {} });
    const gone = await stage.machineNode(0, { driver: 'ipmi', powerState: 'power on' });
    const good = await stage.machineNode(1);
    await roundUntil(sync, good, 'the round has reached the last', ({ powerState }) => powerState !== null);
    await sync.round();
    for (const { id } of [incomplete, gone]) expect(await stage.db.nodes.get(id)).toMatchObject({ maintenance: false, lastError: null });
  });
});

describe('power sync leaves alone', () => {
  const LEFT_ALONE: readonly (readonly [string, Partial<NewNode>])[] = [
    ['a node whose server is still to be booted back', { bootBack: 'pending' }],
    ['a node whose boot-back has failed', { bootBack: 'failed' }],
    ['a node with a power change under way', { targetPowerState: 'power on' }],
    ['a node that a person took into maintenance', { maintenance: true }],
    ['a node that is not managed yet', { provisionState: 'enroll' }],
    ['a node that waits in a snapshot', { provisionState: 'snapshot wait' }],
    ['a node that waits for its deployment', { provisionState: 'wait call-back' }],
    ['a node that waits for its cleaning', { provisionState: 'clean wait' }],
  ];
  test.each(LEFT_ALONE)('%s', async (_which, more) => {
    const sync = await begin({ powerSyncAttempts: 1 }, 2);
    const node = await stage.machineNode(0, { powerState: 'power on', ...more });
    const other = await stage.machineNode(1);
    const before = stage.rack.machine('machine-0');
    before.setFaults({ bmc: { mode: 'drop', requests: 1 } });
    await roundUntil(sync, other, 'the round has reached the other', ({ powerState }) => powerState !== null);
    expect(before.faults.bmc).toEqual({ mode: 'drop', requests: 1 }); // it was not even asked
    expect(await stage.db.nodes.get(node.id)).toEqual(node);
  });

  test('a reserved node', async () => {
    const sync = await begin({}, 2);
    const node = await stage.machineNode(0, { powerState: 'power on' });
    await stage.db.nodes.reserve(node.id, 'another');
    await roundUntil(sync, await stage.machineNode(1), 'the round has reached the other', ({ powerState }) => powerState !== null);
    expect(await stage.db.nodes.get(node.id)).toMatchObject({ powerState: 'power on', reservation: 'another' });
  });

  test('an answer that was overtaken by a change of the node, or by somebody who took its lock', async () => {
    await begin();
    const seen = await stage.machineNode();
    const settled: string[] = [];
    await underLock(stage.parts, seen, async () => void settled.push('as seen'));
    await stage.db.nodes.reserve(seen.id, 'another');
    await underLock(stage.parts, seen, async () => void settled.push('locked'));
    await stage.db.nodes.release(seen.id, 'another');
    await stage.db.nodes.update(seen.id, { powerState: 'power on' });
    await underLock(stage.parts, seen, async () => void settled.push('changed'));
    expect(settled).toEqual(['as seen']);
    expect((await stage.db.nodes.get(seen.id)).reservation).toBeNull();
  });

  test('every state in which work is under way or a ramdisk may run, and no other but enroll', () => {
    return begin().then(async () => {
      const node = await stage.machineNode();
      const synced = PROVISION_STATES.filter((provisionState) => isSynced({ ...node, provisionState }));
      expect(synced).toEqual(['manageable', 'available', 'adopt failed', 'deploy failed', 'active', 'snapshot failed', 'clean failed', 'error']);
    });
  });
});

test('fault recovery touches no maintenance that a person has ordered, and no other fault', async () => {
  stage = await WorkflowStage.start({}, 3);
  const recovery = new FaultRecovery(stage.parts);
  const own = await stage.machineNode(0, { maintenance: true, maintenanceReason: 'disk swap', fault: null });
  const otherFault = await stage.machineNode(1, { maintenance: true, fault: 'clean failure' });
  const faulty = await stage.machineNode(2, { maintenance: true, maintenanceReason: 'r', lastError: 'another error', fault: 'power failure' });
  const mended = await roundUntil(recovery, faulty, 'the faulty one is mended', ({ maintenance }) => !maintenance);
  expect(mended.lastError).toBe('another error');
  for (const node of [own, otherFault]) expect(await stage.db.nodes.get(node.id)).toEqual(node);
});

test('a machine that exists only as a record keeps its record empty', async () => {
  const sync = await begin();
  const imaginary = await stage.db.nodes.create({ driver: 'fake-hardware', interfaces: (await stage.machineNode()).interfaces, provisionState: 'available' });
  await stage.db.nodes.update(imaginary.id, { interfaces: newNode().interfaces });
  const real = await stage.machineNode(0);
  await roundUntil(sync, real, 'the round has reached the last', ({ powerState }) => powerState !== null);
  expect((await stage.db.nodes.get(imaginary.id)).powerState).toBeNull();
});
