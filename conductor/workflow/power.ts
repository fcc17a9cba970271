import { ConflictError, InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { PowerState, PowerTarget } from '../../protocol/provision.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { driverTask } from './driver-task.ts';
import { noteEvent } from './history-lines.ts';
import { retryWhileLocked, takeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';
import { askPowerState } from './power-sync.ts';

const RESULT: Readonly<Record<PowerTarget, PowerState>> = { 'power on': 'power on', 'power off': 'power off', rebooting: 'power on', 'soft power off': 'power off', 'soft rebooting': 'power on' };

/**
 * A user's power request: stored, then carried out in the background under the lock.
 * @throws ConflictError while a snapshot is under way (409: it passes); NodeLockedError; MetalshotError when the driver can not work.
 */
export async function changePower(parts: WorkflowParts, ident: NodeRow, target: PowerTarget, timeoutMs: number | undefined, user: string): Promise<void> {
  refuseDuringSnapshot(ident);
  const node = await retryWhileLocked(parts, () => takeLock(parts, ident.uuid));
  let started = false;
  try {
    refuseDuringSnapshot(node);
    const { power } = parts.hardware.driversFor(node);
    if (node.bootBack === 'pending' || node.bootBack === 'failed') throw new ConflictError(`Node ${node.uuid} is taken through the ramdisk or brought back from it; its power can be changed once that is done.`);
    await power.validate(await driverTask(parts, node, parts.limits.powerTimeoutMs));
    await parts.db.nodes.update(node.id, { targetPowerState: RESULT[target], lastError: null }, parts.host);
    started = true;
    parts.background.start(`power ${node.uuid}`, () => carryOut(parts, node, target, timeoutMs, user));
  } finally {
    if (!started) await parts.db.nodes.release(node.id, parts.host);
  }
}

function refuseDuringSnapshot(node: NodeRow): void {
  if (!hasTag(node.provisionState, 'powerRefused')) return;
  throw new ConflictError(`The power of node ${node.uuid} can not be changed while it is in state "${node.provisionState}": a snapshot is under way. Wait for it, or abort it.`, { node: node.uuid, state: node.provisionState });
}

async function carryOut(parts: WorkflowParts, node: NodeRow, target: PowerTarget, timeoutMs: number | undefined, user: string): Promise<void> {
  try {
    await perform(parts, node, target, timeoutMs);
    await parts.db.nodes.update(node.id, { powerState: RESULT[target], targetPowerState: null });
    await noteEvent(parts, node, 'power', `Power change to "${target}" is done.`, { user });
  } catch (error) {
    parts.log.error({ node: node.uuid, target, error: messageOf(error) }, 'power change failed');
    const lastError = `Failed to change power state to "${target}": ${messageOf(error)}`;
    await parts.db.nodes.update(node.id, { powerState: await readBack(parts, node), targetPowerState: null, lastError });
    await noteEvent(parts, node, 'power', lastError, { user, error: true });
  } finally {
    await parts.db.nodes.release(node.id, parts.host);
  }
}

/** What a change that failed has left of the power; null: the machine does not tell. */
async function readBack(parts: WorkflowParts, node: NodeRow): Promise<PowerState | null> {
  try {
    return await askPowerState(parts, node);
  } catch (error) {
    parts.log.warn({ node: node.uuid, error: messageOf(error) }, 'power state after the failed change is not known');
    return null; // the failure of the change itself is what is told; power sync finds the state once the machine answers
  }
}

async function perform(parts: WorkflowParts, node: NodeRow, target: PowerTarget, timeoutMs: number | undefined): Promise<void> {
  const { power } = parts.hardware.driversFor(node);
  const hardTimeoutMs = timeoutMs ?? parts.limits.powerTimeoutMs;
  const task = await driverTask(parts, node, parts.limits.softPowerOffTimeoutMs + 3 * hardTimeoutMs);
  switch (target) {
    case 'power on':
    case 'power off':
      return power.setPowerState(task, target, hardTimeoutMs);
    case 'rebooting':
      await power.setPowerState(task, 'power off', hardTimeoutMs);
      return power.setPowerState(task, 'power on', hardTimeoutMs);
    case 'soft power off':
    case 'soft rebooting': {
      const softTimeoutMs = timeoutMs ?? parts.limits.softPowerOffTimeoutMs;
      if (!(await power.softPowerOff(task, softTimeoutMs))) throw new InvalidParameterError(`the operating system did not shut down within ${softTimeoutMs / 1000} s`);
      if (target === 'soft rebooting') await power.setPowerState(task, 'power on', hardTimeoutMs);
    }
  }
}
