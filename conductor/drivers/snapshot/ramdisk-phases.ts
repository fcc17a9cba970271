import type { Outcome, Phase, SnapshotLimits, SnapshotTask } from '../interfaces.ts';

/** From a running server to one that boots the ramdisk. What must be undone is stored before each act. */
export const bootIntoRamdisk = (limits: SnapshotLimits): Phase[] => [
  { name: 'quiesce', timeoutMs: limits.softPowerOffTimeoutMs + 2 * limits.powerTimeoutMs, run: quiesce },
  { name: 'boot configuration', timeoutMs: limits.powerTimeoutMs, run: configureBoot },
  { name: 'power on', timeoutMs: 2 * limits.powerTimeoutMs, run: powerOn },
];

/** Ends in `snapshot wait`; its time limit is the callback timeout. */
export const awaitRamdisk: Phase = { name: 'await ramdisk', timeoutMs: 60_000, run: () => Promise.resolve('wait') };

/** The operating system shuts down by itself where it will; hard after its time, so that the capture is never of a running system. */
async function quiesce(task: SnapshotTask): Promise<Outcome> {
  const { power } = task.drivers;
  const broughtDownBefore = task.node.bootBack === 'pending' || task.node.bootBack === 'failed';
  const found = await power.getPowerState(task);
  await task.saveNode({
    bootBack: 'pending',
    bootBackAttempts: 0,
    bootBackNextAt: null,
    powerStateBefore: broughtDownBefore ? task.node.powerStateBefore : found,
    agentToken: null,
    agentUrl: null,
    agentVerifyCa: null,
    agentLastHeartbeatAt: null,
  });
  if (found === 'power on') {
    await task.saveSnapshot({ poweredOffAt: new Date() });
    const ramdisk = task.node.powerOffDue === 'ramdisk'; // of an attempt before: it has nothing to lose
    if (!ramdisk) await task.saveNode({ powerOffDue: 'shutdown' });
    const down = !ramdisk && (await power.softPowerOff(task, task.limits.softPowerOffTimeoutMs));
    task.log.info({ soft: down }, down ? 'server shut down' : 'server did not shut down by itself; it is switched off');
    if (!down) await power.setPowerState(task, 'power off', task.limits.powerTimeoutMs);
  }
  await task.saveNode({ powerState: 'power off', powerOffDue: 'none' });
  return 'done';
}

async function configureBoot(task: SnapshotTask): Promise<Outcome> {
  await task.drivers.boot.prepareRamdisk(task);
  await task.drivers.management.setBootDevice(task, 'pxe', false);
  return 'done';
}

async function powerOn(task: SnapshotTask): Promise<Outcome> {
  await task.saveNode({ powerOffDue: 'ramdisk' });
  await task.drivers.power.setPowerState(task, 'power on', task.limits.powerTimeoutMs);
  await task.saveNode({ powerState: 'power on' });
  return 'done';
}
