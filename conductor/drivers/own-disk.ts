/** The way back: from a server in the ramdisk, or on the way there, to one that runs from its own disk. Every step may be repeated after a crash. */
import { z } from 'zod';
import { deadline } from '../../protocol/deadline.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { BootDeviceSetting } from './interfaces.ts';
import { NO_AGENT, type RamdiskTask } from './ramdisk-task.ts';

const settingSchema = z.object({ bootDevice: z.enum(['pxe', 'disk', 'cdrom', 'bios', 'safe']).nullable(), persistent: z.boolean().nullable() });

/** What the BMC is set to boot from, to be stored before anything else is set; empty when the BMC does not tell. */
export async function readBootDevice(task: RamdiskTask): Promise<JsonObject> {
  try {
    const { node, ports, log } = task;
    const { bootDevice, persistent } = await task.drivers.management.getBootDevice({ node, ports, log, signal: deadline(task.limits.powerTimeoutMs, task.signal) });
    return { bootDevice, persistent };
  } catch (error) {
    if (task.signal.aborted) throw error;
    task.log.warn({ error: messageOf(error) }, 'the BMC does not tell its boot device: none will be set again after the boot of the ramdisk');
    return {};
  }
}

/**
 * Switches off what runs instead of the server's own system, or what that system was asked to become. A ramdisk is
 * switched off hard (it has nothing to lose), unless it may have given up and booted the server's own disk, which it does
 * by itself: then the system is asked to shut down first. Nothing due: nothing is done.
 */
export async function switchRamdiskOff(task: RamdiskTask): Promise<void> {
  const { power } = task.drivers;
  const { powerOffDue } = task.node;
  if (powerOffDue === 'none') return;
  const presence = powerOffDue === 'ramdisk' ? await task.ramdiskPresence() : 'perhaps gone';
  if (presence === 'answers') await task.keepRamdiskLogs();
  const softly = presence === 'perhaps gone';
  if (softly && powerOffDue === 'ramdisk') task.log.info('the server may run from its own disk again (its agent does not answer, or its boot script was asked for again): it is asked to shut down first');
  const down = softly && (await power.softPowerOff(task, task.limits.softPowerOffTimeoutMs));
  if (!down) await power.setPowerState(task, 'power off', task.limits.powerTimeoutMs);
  await task.saveNode({ powerState: 'power off', powerOffDue: 'none' }); // a repetition must not cut the power of what boots next
}

/** What fails may pass. After so many boot-backs that failed, a server without its boot device, or its network, is better than none: it is powered on all the same. */
const BOOT_DEVICE_PATIENCE = 1;
const NETWORK_PATIENCE = 4;

/**
 * With the machine off: nothing boots the ramdisk any more, the networks are as before, and the next boot is from the disk.
 * The nonce of the boot stays known until the work has ended, so that whoever still brings it is noticed.
 * @param runsInstance whether an instance is to run there again: it gets its networks back.
 */
export async function undoRamdiskBoot(task: RamdiskTask, { runsInstance }: { runsInstance: boolean }): Promise<void> {
  const { boot, network } = task.drivers;
  await boot.cleanUpRamdisk(task);
  await task.saveNode({ ...NO_AGENT, ramdiskBoot: null });
  await tryFor(NETWORK_PATIENCE, task, 'The network of the server could not be switched back', async () => {
    await network.removeProvisioningNetwork(task);
    if (runsInstance) await network.configureTenantNetworks(task);
  });
  if (task.node.bootDeviceBefore === null && task.node.bootBack === null) return; // nobody has set another device
  await tryFor(BOOT_DEVICE_PATIENCE, task, 'The BMC does not take the disk as boot device', () => setOwnDisk(task));
}

/** @throws what `act` throws, until the patience is over; then it is noted only. */
async function tryFor(patience: number, task: RamdiskTask, trouble: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (task.signal.aborted || task.node.bootBackAttempts < patience) throw error;
    task.log.error({ error: messageOf(error) }, trouble);
    await task.noteEvent(`${trouble}, and it is powered on all the same: ${messageOf(error)}`);
  }
}

/** The disk for the next boot; for good where that is how it was before. */
export async function setOwnDisk(task: RamdiskTask): Promise<void> {
  const before = bootDeviceBefore(task);
  await task.drivers.management.setBootDevice(task, 'disk', before?.bootDevice === 'disk' && before.persistent === true);
}

/**
 * Once the server has been powered on (or is left off): a boot device that was set for good before, and is not the disk, is
 * set for good again. One that was set for one boot was used up by ours. A BMC that refuses is noted: the server is back.
 * The caller stores that nothing is to be set again, together with the end of its work.
 */
export async function restoreBootDevice(task: RamdiskTask): Promise<void> {
  const before = bootDeviceBefore(task);
  if (!before?.bootDevice || before.bootDevice === 'disk' || before.persistent !== true) return;
  try {
    await task.drivers.management.setBootDevice(task, before.bootDevice, true);
  } catch (error) {
    if (task.signal.aborted) throw error;
    const trouble = `The boot device "${before.bootDevice}", which was set for good before, could not be set again: ${messageOf(error)}. Set it with "baremetal node boot device set --persistent ${task.node.uuid} ${before.bootDevice}".`;
    task.log.error({ bootDevice: before.bootDevice, error: messageOf(error) }, 'former boot device could not be set again');
    await task.noteEvent(trouble);
  }
}

/** Null: not known, or nothing was set. */
const bootDeviceBefore = ({ node }: RamdiskTask): BootDeviceSetting | null => settingSchema.safeParse(node.bootDeviceBefore).data ?? null;
