import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRow, RamdiskBoot } from '../../../../conductor/db/rows.ts';
import { bootIntoRamdisk } from '../../../../conductor/drivers/ramdisk-phases.ts';
import { bootBack } from '../../../../conductor/workflow/boot-back.ts';
import type { WorkflowParts } from '../../../../conductor/workflow/parts.ts';
import { ramdiskPresence } from '../../../../conductor/workflow/ramdisk-presence.ts';
import { SnapshotSession } from '../../../../conductor/workflow/snapshot-session.ts';
import { latestWork } from '../../../../conductor/workflow/work-under-way.ts';
import { OperationFailedError } from '../../../../protocol/errors.ts';
import type { SimulatedMachine } from '../../../../simulator/machine.ts';
import { recordDrivers, type Recording } from './recorded-drivers.ts';
import { WorkflowStage } from './workflow-stage.ts';

const HOUR_MS = 3_600_000;

let stage: WorkflowStage;
let parts: WorkflowParts;
let recording: Recording;
let machine: SimulatedMachine;
let node: NodeRow;
/** What the agent does when it is asked. */
let agent: () => Promise<null>;
const answers = (): Promise<null> => Promise.resolve(null);
const isGone = (): Promise<null> => Promise.reject(new OperationFailedError('connection refused', { unreachable: true }));
const refuses = (): Promise<null> => Promise.reject(new OperationFailedError('no such command', { status: 404 }));
const fails = (): Promise<null> => Promise.reject(new OperationFailedError('bad gateway', { status: 502 }));

/** A machine in the ramdisk, whose agent was heard of a moment ago. */
beforeEach(async () => {
  stage = await WorkflowStage.start();
  recording = recordDrivers(stage.parts.hardware);
  agent = isGone;
  parts = Object.create(stage.parts, { hardware: { value: recording.hardware }, agent: { value: { status: () => agent() } }, share: { value: {} }, images: { value: {} } }) as WorkflowParts;
  machine = stage.rack.machine('machine-0');
  machine.setFaults({ pxe_hangs: true });
  await machine.reset('On');
  node = await stage.machineNode(0, { powerState: 'power on' });
  node = await stage.walk(node, ['snapshot']);
  const session = await SnapshotSession.open(parts, node, (await stage.db.snapshots.unfinishedOf(node.id))!);
  await session.runPhases(bootIntoRamdisk(session.limits, () => ({ soft: true, leaveOff: false })));
  await store({ ramdiskBoot: 'served', agentUrl: 'https://127.0.0.1:1', agentToken: 't', agentLastHeartbeatAt: new Date() });
  recording.calls.length = 0;
});
afterEach(() => stage.close());

const current = (): Promise<NodeRow> => stage.db.nodes.get(node.id);
const store = (row: Partial<Pick<NodeRow, 'ramdiskBoot' | 'agentUrl' | 'agentToken' | 'agentLastHeartbeatAt'>>): Promise<unknown> => stage.db.nodes.update(node.id, row);
const presence = async (of?: NodeRow): Promise<string> => ramdiskPresence(parts, of ?? (await current()), await latestWork(parts, node));

describe('what runs on a machine that was taken into the ramdisk', () => {
  const now = (): Date => new Date();
  const longAgo = (): Date => new Date(Date.now() - HOUR_MS);

  test.each<[string, RamdiskBoot | null, () => Promise<null>, () => Date, string]>([
    ['answers', 'served', answers, longAgo, 'answers'],
    ['refuses, as only it can', 'served', refuses, longAgo, 'answers'],
    ['answers, and its boot interface hands out no script', null, answers, longAgo, 'answers'],
    ['was heard of a moment ago', 'served', isGone, now, 'silent'],
    ['is hidden behind a proxy that fails, and was heard of a moment ago', 'served', fails, now, 'silent'],
    ['was not heard of for long', 'served', isGone, longAgo, 'perhaps gone'],
    ['was heard of a moment ago, and whose boot script was asked for again since', 'left', isGone, now, 'perhaps gone'],
    ['answers, while its boot script was asked for again: by whom is not known', 'left', answers, now, 'perhaps gone'],
  ])('one whose agent %s', async (_what, ramdiskBoot, does, heardAt, expected) => {
    agent = does;
    await store({ ramdiskBoot, agentLastHeartbeatAt: heardAt() });
    expect(await presence()).toBe(expected);
  });

  test('one that asks for its boot script while its agent is asked, or was so since the work has read its row', async () => {
    const before = await current();
    agent = async () => {
      await stage.db.nodes.noteRamdiskLeft(node.id);
      return isGone();
    };
    expect(await presence(before)).toBe('perhaps gone');
    agent = answers;
    expect(await presence(before)).toBe('perhaps gone');
  });
});

describe('the way back of a machine that has asked for its boot script again', () => {
  const offBy = (): string[] => recording.calls.filter((call) => call.startsWith('power.') && call !== 'power.setPowerState power on');
  const back = async (): Promise<NodeRow> => bootBack(parts, await current(), await latestWork(parts, node));

  test('shuts its own system down and never cuts its power, even a moment after its agent was heard of', async () => {
    await machine.reset('ForceRestart'); // a panic, say
    expect(machine.runningFrom).toBe('disk');
    await stage.db.nodes.noteRamdiskLeft(node.id);
    expect(await back()).toMatchObject({ bootBack: 'done', ramdiskBoot: null, powerState: 'power on' });
    expect(offBy()).toEqual(['power.softPowerOff']);
    expect(machine.runningFrom).toBe('disk');
  });

  test('switches a ramdisk off all the same when it was somebody else who asked', async () => {
    agent = answers;
    await stage.db.nodes.noteRamdiskLeft(node.id);
    expect(await back()).toMatchObject({ bootBack: 'done', ramdiskBoot: null });
    expect(offBy()).toEqual(['power.softPowerOff', 'power.setPowerState power off']);
    expect(machine.runningFrom).toBe('disk');
  });
});
