import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow } from '../../../../conductor/db/rows.ts';
import { createFakeBoot } from '../../../../conductor/drivers/boot/fake.ts';
import type { DriverSet } from '../../../../conductor/drivers/interfaces.ts';
import { bootIntoRamdisk } from '../../../../conductor/drivers/ramdisk-phases.ts';
import { bootBack, bringBack } from '../../../../conductor/workflow/boot-back.ts';
import type { WorkflowParts } from '../../../../conductor/workflow/parts.ts';
import { RamdiskLogs } from '../../../../conductor/workflow/ramdisk-logs.ts';
import { SnapshotSession } from '../../../../conductor/workflow/snapshot-session.ts';
import { latestWork } from '../../../../conductor/workflow/work-under-way.ts';
import { OperationFailedError } from '../../../../protocol/errors.ts';
import { createLogger } from '../../../../protocol/log.ts';
import type { SimulatedMachine } from '../../../../simulator/machine.ts';
import type { BootPatch } from '../../../../simulator/boot-override.ts';
import { recordDrivers, type Recording } from './recorded-drivers.ts';
import { WorkflowStage } from './workflow-stage.ts';

let stage: WorkflowStage;
let parts: WorkflowParts;
let recording: Recording;
let machine: SimulatedMachine;
let node: NodeRow;
let agentAnswers: boolean;
let logsAskedFor: number;
beforeEach(async () => {
  stage = await WorkflowStage.start();
  recording = recordDrivers(stage.parts.hardware);
  [agentAnswers, logsAskedFor] = [false, 0];
  const agent = {
    status: async () => {
      if (!agentAnswers) throw new OperationFailedError('connection refused', { unreachable: true });
      return null;
    },
    execute: async () => {
      logsAskedFor += 1;
      throw new OperationFailedError('no such extension');
    },
  };
  const ramdiskLogs = new RamdiskLogs({ collect: 'always', directory: '/nowhere', kept: 1 }, agent, createLogger('test', 'silent'));
  parts = Object.create(stage.parts, { hardware: { value: recording.hardware }, agent: { value: agent }, ramdiskLogs: { value: ramdiskLogs }, share: { value: {} }, images: { value: {} } }) as WorkflowParts;
  machine = stage.rack.machine('machine-0');
  machine.setFaults({ pxe_hangs: true });
  await machine.reset('On');
  node = await stage.machineNode(0, { powerState: 'power on' });
  node = await stage.walk(node, ['snapshot']);
});
afterEach(() => stage.close());

const current = (): Promise<NodeRow> => stage.db.nodes.get(node.id);
const override = (patch: BootPatch): void => machine.bootOverride.apply(patch, machine.faults);

async function intoRamdisk(): Promise<void> {
  const session = await SnapshotSession.open(parts, await current(), (await stage.db.snapshots.unfinishedOf(node.id))!);
  await session.runPhases(bootIntoRamdisk(session.limits, () => ({ soft: true, leaveOff: false })));
}
const refuse = (refused: string, reason: string): void => void (recording.before = async (call) => (call === refused ? Promise.reject(new OperationFailedError(reason)) : undefined));
function changeDrivers(change: (drivers: DriverSet) => Partial<DriverSet>): void {
  recording.hardware.driversFor = ((driversFor) => (of: NodeRow) => ({ ...driversFor(of), ...change(driversFor(of)) }))(recording.hardware.driversFor);
}
const back = async (): Promise<NodeRow> => bootBack(parts, await current(), await latestWork(parts, node));

describe('a server that is taken into the ramdisk and back', () => {
  test('is led there and back in Ironic\'s order, each step with what undoes it stored before', async () => {
    const stored: Record<string, Partial<NodeRow>> = {};
    recording.before = async (call) => {
      stored[call] ??= await current();
    };
    await intoRamdisk();
    expect(recording.calls).toEqual([
      'power.softPowerOff',
      'network.unconfigureTenantNetworks',
      'network.addProvisioningNetwork',
      'boot.prepareRamdisk',
      'management.setBootDevice pxe false',
      'power.setPowerState power on',
    ]);
    expect(stored['power.softPowerOff']).toMatchObject({ bootBack: 'pending', powerOffDue: 'shutdown', powerStateBefore: 'power on' });
    expect(stored['management.setBootDevice pxe false']?.bootDeviceBefore).toEqual({ bootDevice: null, persistent: null });
    expect(stored['power.setPowerState power on']?.powerOffDue).toBe('ramdisk');
    recording.calls.length = 0;
    expect(await back()).toMatchObject({ bootBack: 'done', powerState: 'power on', powerOffDue: 'none', bootDeviceBefore: null, ramdiskBoot: null });
    expect(recording.calls).toEqual([
      'power.setPowerState power off',
      'boot.cleanUpRamdisk',
      'network.removeProvisioningNetwork',
      'network.configureTenantNetworks',
      'management.setBootDevice disk false',
      'power.setPowerState power on',
    ]);
    expect(machine.bootLog.map(({ target }) => target)).toEqual(['Hdd', 'Pxe', 'Hdd']);
  });

  test.each<[string, BootPatch, Partial<SimulatedMachine['bootOverride']>]>([
    ['from the network for good', { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' }, { target: 'Pxe', enabled: 'Continuous' }],
    ['from the disk for good', { BootSourceOverrideTarget: 'Hdd', BootSourceOverrideEnabled: 'Continuous' }, { target: 'Hdd', enabled: 'Continuous' }],
    ['from a medium once, which our boots use up', { BootSourceOverrideTarget: 'Cd', BootSourceOverrideEnabled: 'Once' }, { target: 'None', enabled: 'Disabled' }],
    ['as the firmware has it', {}, { target: 'None', enabled: 'Disabled' }],
  ])('that was set to boot %s is set so again, and has booted its own disk', async (_case, patch, after) => {
    override(patch);
    await intoRamdisk();
    expect(machine.bootLog.at(-1)?.target).toBe('Pxe');
    await back();
    expect(machine.bootLog.at(-1)?.target).toBe('Hdd');
    expect(machine.bootOverride).toMatchObject(after);
  });

  test('an attempt that follows on one that is not over yet does not take our own setting for the former one', async () => {
    machine.setFaults({ ignores_once: true });
    override({ BootSourceOverrideTarget: 'Cd', BootSourceOverrideEnabled: 'Continuous' });
    await intoRamdisk();
    await stage.db.nodes.update(node.id, { bootBack: 'failed' });
    await intoRamdisk();
    expect((await current()).bootDeviceBefore).toEqual({ bootDevice: 'cdrom', persistent: true });
    await back();
    expect(machine.bootOverride).toMatchObject({ target: 'Cd', enabled: 'Continuous' });
    expect(machine.bootLog.at(-1)?.target).toBe('Hdd');
  });

  test('goes there and comes back although its BMC does not tell its boot device', async () => {
    refuse('management.getBootDevice', 'not implemented');
    await intoRamdisk();
    expect((await current()).bootDeviceBefore).toEqual({});
    await back();
    expect(machine.bootLog.at(-1)?.target).toBe('Hdd');
  });

  test('is back although its former boot device can not be set again: the history says so', async () => {
    override({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' });
    await intoRamdisk();
    refuse('management.setBootDevice pxe true', 'read-only today');
    expect(await back()).toMatchObject({ bootBack: 'done', bootDeviceBefore: null });
    expect((await stage.history(node)).at(-1)?.event).toContain('could not be set again: read-only today');
  });

  test.each(['boot.cleanUpRamdisk', 'network.configureTenantNetworks', 'management.setBootDevice disk false', 'power.setPowerState power on', 'management.setBootDevice pxe true'])('comes back all the same when the conductor dies at %s, and its boot device is as before', async (deathAt) => {
    override({ BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' });
    await intoRamdisk();
    const stopping = new Error('power cut');
    let dead = false;
    recording.before = async (call) => {
      if (call === deathAt) dead = true;
      if (dead) throw stopping;
    };
    // whatever is stored after the death is stored by nobody
    const { update } = stage.db.nodes;
    stage.db.nodes.update = async (...args) => {
      if (dead) throw stopping;
      return update.apply(stage.db.nodes, args);
    };
    await expect(back()).rejects.toThrow('power cut');
    recording.before = async () => undefined;
    stage.db.nodes.update = update;
    expect(await back()).toMatchObject({ bootBack: 'done', ramdiskBoot: null });
    expect(machine.bootLog.at(-1)?.target).toBe('Hdd');
    expect(machine.bootOverride).toMatchObject({ target: 'Pxe', enabled: 'Continuous' });
  });

  test('is not touched when its boot interface can not work', async () => {
    changeDrivers(() => ({ boot: { ...createFakeBoot(), validate: () => Promise.reject(new Error('there is no ramdisk')) } }));
    await expect(intoRamdisk()).rejects.toThrow('there is no ramdisk');
    expect({ calls: recording.calls, boots: machine.bootLog.length }).toEqual({ calls: [], boots: 1 });
    expect((await current()).bootBack).toBeNull();
  });

  test.each([
    ['management.setBootDevice disk false', 1, /does not take the disk as boot device, and it is powered on all the same: no licence/],
    ['network.removeProvisioningNetwork', 4, /network of the server could not be switched back, and it is powered on all the same: no licence/],
  ])('is powered on all the same when %s is refused again and again', async (refused, patience, says) => {
    await intoRamdisk();
    refuse(refused, 'no licence');
    for (let attempt = 1; attempt <= patience; attempt += 1) {
      await bringBack(parts, node.id);
      expect({ ...(await current()), is: machine.powerState }).toMatchObject({ bootBack: 'failed', bootBackAttempts: attempt, is: 'Off' });
    }
    await bringBack(parts, node.id);
    expect({ ...(await current()), is: machine.powerState }).toMatchObject({ bootBack: 'done', powerState: 'power on', is: 'On' });
    expect((await stage.history(node)).map(({ event }) => event)).toContainEqual(expect.stringMatching(says));
  });

  test('is not touched when its BMC can not set the device that the ramdisk boots from, or the one for the way back', async () => {
    for (const offered of [['disk'], ['pxe', 'cdrom']] as const) {
      changeDrivers(({ management }) => ({ management: { ...management, supportedBootDevices: () => Promise.resolve([...offered]) } }));
      await expect(intoRamdisk()).rejects.toThrow(/can not set the boot device (pxe|disk).*was not touched/);
    }
    expect(machine.bootLog).toHaveLength(1);
    expect((await current()).bootBack).toBeNull();
  });

  test('comes back within its snapshot although its BMC is away for a moment', async () => {
    await intoRamdisk();
    let failures = 2;
    recording.before = async (call) => {
      if (call === 'power.setPowerState power on' && (failures -= 1) >= 0) throw new OperationFailedError('the BMC starts again');
    };
    parts = Object.create(parts, { times: { value: { ...parts.times, bootBackRetryMs: 10, bootBackRetryMaxMs: 20 } } }) as WorkflowParts;
    const session = await SnapshotSession.open(parts, await current(), (await stage.db.snapshots.unfinishedOf(node.id))!);
    await session.bootBack();
    expect(await current()).toMatchObject({ bootBack: 'done', bootBackAttempts: 0 });
    expect(machine.bootLog.at(-1)?.target).toBe('Hdd');
  });

  test('whose ramdisk never called gets its own disk from a network boot that comes too late', async () => {
    await intoRamdisk();
    await stage.db.nodes.update(node.id, { ramdiskBoot: 'armed' });
    await back();
    expect(await current()).toMatchObject({ ramdiskBoot: null, bootBack: 'done' });
  });
});

describe('a machine that may have left its ramdisk by itself', () => {
  const hoursAgo = (hours: number): Date => new Date(Date.now() - hours * 3_600_000);
  const offBy = (): string[] => recording.calls.filter((call) => call.startsWith('power.') && call !== 'power.setPowerState power on');

  /** As after the ramdisk's agent has called, or not. */
  async function inRamdisk(heardAt: Date | null): Promise<void> {
    await intoRamdisk();
    if (heardAt) await stage.db.nodes.update(node.id, { agentUrl: 'https://127.0.0.1:1', agentToken: 't', agentLastHeartbeatAt: heardAt });
    recording.calls.length = 0;
  }

  test('is shut down before it is switched off when its agent is silent', async () => {
    await inRamdisk(hoursAgo(1));
    await machine.reset('ForceRestart'); // its own watchdog, say: it runs from its own disk now
    expect(machine.runningFrom).toBe('disk');
    await back();
    expect(offBy()).toEqual(['power.softPowerOff']);
    expect(machine.runningFrom).toBe('disk');
  });

  test('is switched off hard once its system has not shut down in time', async () => {
    await inRamdisk(hoursAgo(1));
    await back();
    expect(offBy()).toEqual(['power.softPowerOff', 'power.setPowerState power off']);
  });

  test('is switched off at once when its agent answers, whatever the time, and its logs are asked for before', async () => {
    agentAnswers = true;
    await inRamdisk(hoursAgo(1));
    await back();
    expect(offBy()).toEqual(['power.setPowerState power off']);
    expect(logsAskedFor).toBe(1);
  });

  test('is switched off at once when its agent was heard of a moment ago', async () => {
    await inRamdisk(new Date());
    await back();
    expect(offBy()).toEqual(['power.setPowerState power off']);
    expect(logsAskedFor).toBe(0);
  });

  test('is shut down first, too, when it never called and was powered on long ago; at once when that was just now', async () => {
    await inRamdisk(null);
    parts = Object.create(parts, { times: { value: { ...parts.times, ramdiskLeaveMs: 0 } } }) as WorkflowParts;
    await back();
    expect(offBy()).toEqual(['power.softPowerOff', 'power.setPowerState power off']);
    await inRamdisk(null);
    parts = Object.create(parts, { times: { value: { ...parts.times, ramdiskLeaveMs: 30_000 } } }) as WorkflowParts;
    await back();
    expect(offBy()).toEqual(['power.setPowerState power off']);
  });
});

describe('the networks of an instance', () => {
  const backBy = async (kind: 'clean' | 'rebuild' | 'deploy', touched: boolean): Promise<string[]> => {
    await intoRamdisk();
    const operation = await stage.db.operations.create(node.id, { uuid: randomUUID(), kind, requestedBy: 'alice', image: null, generalize: null });
    await stage.db.operations.finish(operation.id, 'failed', 'x');
    await stage.db.operations.update(operation.id, { diskTouched: touched });
    await stage.db.nodes.update(node.id, { agentLastHeartbeatAt: new Date() });
    recording.calls.length = 0;
    await back();
    return recording.calls.filter((call) => call.startsWith('network.'));
  };

  test.each<['clean' | 'rebuild' | 'deploy', boolean, boolean]>([
    ['clean', false, false],
    ['deploy', false, false],
    ['rebuild', true, false],
    ['rebuild', false, true],
  ])('are given back after a failed %s (disk touched: %s): %s', async (kind, touched, given) => {
    expect(await backBy(kind, touched)).toEqual(['network.removeProvisioningNetwork', ...(given ? ['network.configureTenantNetworks'] : [])]);
  });

  test('are given back to a server that was off before its snapshot, and stays off', async () => {
    await machine.reset('ForceOff');
    await intoRamdisk();
    recording.calls.length = 0;
    await bringBack(parts, node.id);
    expect(recording.calls).toContain('network.configureTenantNetworks');
    expect(machine.powerState).toBe('Off');
  });
});

test('a driver may copy its task: node and signal come along', async () => {
  const session = await SnapshotSession.open(parts, node, (await stage.db.snapshots.unfinishedOf(node.id))!);
  expect({ ...session }).toMatchObject({ node: { uuid: node.uuid }, signal: expect.any(AbortSignal), ports: [] });
  await session.saveNode({ powerOffDue: 'ramdisk' });
  expect({ ...session }.node.powerOffDue).toBe('ramdisk');
});
