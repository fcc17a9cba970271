import type { OperationPhase, SnapshotPhase } from '../../protocol/provision.ts';
import type { NodeRow } from '../db/rows.ts';
import type { DriverSet, DriverTask, Outcome } from './interfaces.ts';

/** What taking a server into the ramdisk needs of a task, whatever the ramdisk is to do. */
export interface RamdiskTask extends DriverTask {
  readonly drivers: DriverSet;
  readonly limits: RamdiskLimits;
  saveNode(patch: Partial<Pick<NodeRow, 'bootBack' | 'bootBackAttempts' | 'bootBackNextAt' | 'powerStateBefore' | 'powerOffDue' | 'powerState' | 'agentToken' | 'agentUrl' | 'agentVerifyCa' | 'agentLastHeartbeatAt'>>): Promise<void>;
}
interface RamdiskLimits {
  softPowerOffTimeoutMs: number;
  powerTimeoutMs: number;
}

/** How the server is taken down. */
export interface TakeDown {
  /** Its system shuts down by itself where it will; otherwise power is cut at once. */
  soft: boolean;
  /** Whatever fails later, the server is left off. */
  leaveOff: boolean;
  /** Called right before the first power-off. */
  onPowerOff?(): Promise<void>;
}

/** A phase of a snapshot as well as of a deployment or cleaning. */
export interface RamdiskPhase<Task> {
  name: SnapshotPhase & OperationPhase;
  timeoutMs: number;
  run(task: Task): Promise<Outcome>;
}

/** What is known of an agent is void with its ramdisk: the next one gets a token of its own. */
export const NO_AGENT = { agentToken: null, agentUrl: null, agentVerifyCa: null, agentLastHeartbeatAt: null };

/** From a running server to one that boots the ramdisk and is waited for. What must be undone is stored before each act. */
export const bootIntoRamdisk = <Task extends RamdiskTask>(limits: RamdiskLimits, takeDown: (task: Task) => TakeDown): RamdiskPhase<Task>[] => [
  { name: 'quiesce', timeoutMs: limits.softPowerOffTimeoutMs + 2 * limits.powerTimeoutMs, run: (task) => quiesce(task, takeDown(task)) },
  { name: 'boot configuration', timeoutMs: limits.powerTimeoutMs, run: configureBoot },
  { name: 'power on', timeoutMs: 2 * limits.powerTimeoutMs, run: powerOn },
  // its time limit is the callback timeout
  { name: 'await ramdisk', timeoutMs: 60_000, run: () => Promise.resolve('wait') },
];

/** With the ramdisk alive, at once: any later reset brings the server back to its own disk. */
export const bootDeviceBack = (limits: RamdiskLimits): RamdiskPhase<RamdiskTask> => ({ name: 'boot device back', timeoutMs: limits.powerTimeoutMs, run: setBootDeviceBack });

/** Softly where it is asked for, hard after its time: what reads or writes the disk next must never find a running system on it. */
async function quiesce(task: RamdiskTask, { soft, leaveOff, onPowerOff }: TakeDown): Promise<Outcome> {
  const { power } = task.drivers;
  const broughtDownBefore = task.node.bootBack === 'pending' || task.node.bootBack === 'failed';
  const found = await power.getPowerState(task);
  await task.saveNode({
    bootBack: 'pending',
    bootBackAttempts: 0,
    bootBackNextAt: null,
    powerStateBefore: leaveOff ? 'power off' : broughtDownBefore ? task.node.powerStateBefore : found,
  });
  if (found === 'power on') {
    await onPowerOff?.();
    const softly = soft && task.node.powerOffDue !== 'ramdisk'; // the ramdisk of an attempt before has nothing to lose
    if (softly) await task.saveNode({ powerOffDue: 'shutdown' });
    const down = softly && (await power.softPowerOff(task, task.limits.softPowerOffTimeoutMs));
    if (softly) task.log.info({ soft: down }, down ? 'server shut down' : 'server did not shut down by itself; it is switched off');
    if (!down) await power.setPowerState(task, 'power off', task.limits.powerTimeoutMs);
  }
  // a ramdisk of before may have called until now: its token must not keep the one that boots next from getting its own
  await task.saveNode({ ...NO_AGENT, powerState: 'power off', powerOffDue: 'none' });
  return 'done';
}

async function configureBoot(task: RamdiskTask): Promise<Outcome> {
  await task.drivers.boot.prepareRamdisk(task);
  await task.drivers.management.setBootDevice(task, 'pxe', false);
  return 'done';
}

async function powerOn(task: RamdiskTask): Promise<Outcome> {
  await task.saveNode({ powerOffDue: 'ramdisk' });
  await task.drivers.power.setPowerState(task, 'power on', task.limits.powerTimeoutMs);
  await task.saveNode({ powerState: 'power on' });
  return 'done';
}

async function setBootDeviceBack(task: RamdiskTask): Promise<Outcome> {
  await task.drivers.management.setBootDevice(task, 'disk', false);
  return 'done';
}
