import { OperationFailedError } from '../../protocol/errors.ts';
import type { OperationPhase, SnapshotPhase } from '../../protocol/provision.ts';
import type { Outcome } from './interfaces.ts';
import { readBootDevice, setOwnDisk } from './own-disk.ts';
import { NO_AGENT, type RamdiskLimits, type RamdiskTask } from './ramdisk-task.ts';

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

/** From a running server to one that boots the ramdisk and is waited for. What must be undone is stored before each act. */
export const bootIntoRamdisk = <Task extends RamdiskTask>(limits: RamdiskLimits, takeDown: (task: Task) => TakeDown): RamdiskPhase<Task>[] => [
  { name: 'quiesce', timeoutMs: limits.softPowerOffTimeoutMs + 3 * limits.powerTimeoutMs, run: (task) => quiesce(task, takeDown(task)) },
  { name: 'boot configuration', timeoutMs: 3 * limits.powerTimeoutMs + 2 * limits.networkTimeoutMs, run: configureBoot },
  { name: 'power on', timeoutMs: 2 * limits.powerTimeoutMs, run: powerOn },
  // its time limit is the callback timeout
  { name: 'await ramdisk', timeoutMs: 60_000, run: () => Promise.resolve('wait') },
];

/**
 * With the ramdisk alive, at once: any later reset brings the server back to its own disk. A BMC that does not take it fails
 * the work: what it would do at the next reset is not known.
 */
export const bootDeviceBack = (limits: RamdiskLimits): RamdiskPhase<RamdiskTask> => ({ name: 'boot device back', timeoutMs: limits.powerTimeoutMs, run: setBootDeviceBack });

/** Of a boot-back before it fails the work that it is part of. */
export const BOOT_BACK_TRIES = 4;
/** How long the way back to the own disk may take. */
export const wayBackTimeoutMs = (limits: RamdiskLimits): number => limits.softPowerOffTimeoutMs + 5 * limits.powerTimeoutMs + 2 * limits.networkTimeoutMs;

/** Softly where it is asked for, hard after its time: what reads or writes the disk next must never find a running system on it. */
async function quiesce(task: RamdiskTask, { soft, leaveOff, onPowerOff }: TakeDown): Promise<Outcome> {
  const { boot, management, network, power } = task.drivers;
  // what can be known is known before the server goes down
  for (const driver of [management, boot, network]) await driver.validate(task);
  await checkBootDevices(task);
  await boot.probe?.(task);
  const broughtDownBefore = task.node.bootBack === 'pending' || task.node.bootBack === 'failed';
  const found = await power.getPowerState(task);
  await task.saveNode({
    bootBack: 'pending',
    bootBackAttempts: 0,
    bootBackNextAt: null,
    powerStateBefore: leaveOff ? 'power off' : broughtDownBefore ? task.node.powerStateBefore : found,
    // a server that is still down from before has what we set
    bootDeviceBefore: task.node.bootDeviceBefore ?? (broughtDownBefore ? {} : await readBootDevice(task)),
  });
  if (found === 'power on') {
    await onPowerOff?.();
    // the ramdisk of an attempt before has nothing to lose, unless it has gone back to the server's own disk by itself
    const softly = soft && (task.node.powerOffDue !== 'ramdisk' || (await task.ramdiskPresence()) === 'perhaps gone');
    if (softly) await task.saveNode({ powerOffDue: 'shutdown' });
    const down = softly && (await power.softPowerOff(task, task.limits.softPowerOffTimeoutMs));
    if (softly) task.log.info({ soft: down }, down ? 'server shut down' : 'server did not shut down by itself; it is switched off');
    if (!down) await power.setPowerState(task, 'power off', task.limits.powerTimeoutMs);
  }
  await task.saveNode({ ...NO_AGENT, powerState: 'power off', powerOffDue: 'none' });
  if (task.node.ramdiskBoot !== null) {
    await boot.cleanUpRamdisk(task); // what an attempt before has left
    await task.saveNode({ ramdiskBoot: null });
  }
  return 'done';
}

/** @throws OperationFailedError where the BMC has no such device as the ramdisk boots from, or none for the way back. */
async function checkBootDevices(task: RamdiskTask): Promise<void> {
  const offered = await task.drivers.management.supportedBootDevices(task);
  const missing = [task.drivers.boot.ramdiskDevice, 'disk' as const].filter((device) => !offered.includes(device));
  if (missing.length > 0) throw new OperationFailedError(`The BMC can not set the boot device ${missing.join(' and ')}: expected it among what it offers, found ${offered.join(', ') || 'none'}. The server was not touched.`);
}

async function configureBoot(task: RamdiskTask): Promise<Outcome> {
  const { boot, management, network } = task.drivers;
  await network.unconfigureTenantNetworks(task);
  await network.addProvisioningNetwork(task);
  // a ramdisk of before, or who plays it, may have called until now: its token must not keep the one that boots next from getting its own
  await task.saveNode({ ...NO_AGENT, ...(await boot.prepareRamdisk(task)) });
  await management.setBootDevice(task, boot.ramdiskDevice, false);
  return 'done';
}

async function powerOn(task: RamdiskTask): Promise<Outcome> {
  await task.saveNode({ powerOffDue: 'ramdisk' });
  await task.drivers.power.setPowerState(task, 'power on', task.limits.powerTimeoutMs);
  await task.saveNode({ powerState: 'power on' });
  return 'done';
}

async function setBootDeviceBack(task: RamdiskTask): Promise<Outcome> {
  await setOwnDisk(task);
  return 'done';
}
