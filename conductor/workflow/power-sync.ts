import { InvalidParameterError, OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { PowerState } from '../../protocol/provision.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import type { PowerDriver } from '../drivers/interfaces.ts';
import { BmcPool } from './bmc-pool.ts';
import { driverTask } from './driver-task.ts';
import { noteEvent } from './history-lines.ts';
import { takeFreeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';

/** Ironic's name for what power sync finds broken, and fault recovery mends. */
export const POWER_FAILURE = 'power failure';
/** A BMC has this long to tell the power state. */
const ANSWER_TIMEOUT_MS = 30_000;

/**
 * Whether nobody else decides about the node's power just now: nothing is under way, no ramdisk may be at work, no server is
 * still to be brought back, and no person has taken the node into maintenance.
 */
export function isSynced(node: NodeRow): boolean {
  return (
    node.reservation === null &&
    !node.maintenance &&
    node.targetPowerState === null &&
    node.bootBack !== 'pending' &&
    node.bootBack !== 'failed' &&
    node.provisionState !== 'enroll' &&
    !hasTag(node.provisionState, 'lookup') &&
    !hasTag(node.provisionState, 'failsOnRestart')
  );
}

/**
 * Compares the power state of every node with the record. Asked without the lock; what follows from an answer is stored under
 * it, and only when nothing of the node has changed since it was asked.
 */
export class PowerSync {
  readonly #parts: WorkflowParts;
  readonly #pool: BmcPool;
  /** Failures in a row by node, as long as there are any. */
  readonly #failures = new Map<number, number>();

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
    this.#pool = new BmcPool(parts, 'power sync');
  }

  /** Starts a round; resolves when every node that is due is being asked. */
  async round(): Promise<void> {
    const nodes = await this.#parts.db.nodes.list({ maintenance: false });
    const known = new Set(nodes.map(({ id }) => id));
    for (const id of this.#failures.keys()) if (!known.has(id)) this.#failures.delete(id);
    this.#pool.start(nodes.filter((node) => isSynced(node) && !this.#isImaginary(node)), (node) => this.#sync(node));
  }

  /** A machine that does not exist has no state to be found, only the one that it was once asked for. */
  #isImaginary(node: NodeRow): boolean {
    return node.powerState === null && powerOf(this.#parts, node)?.imaginary === true;
  }

  async #sync(seen: NodeRow): Promise<void> {
    let found: PowerState;
    try {
      found = await askPowerState(this.#parts, seen);
    } catch (error) {
      if (!this.#parts.background.signal.aborted) await this.#noteFailure(seen, error);
      return;
    }
    if (found !== seen.powerState) return this.#settle(seen, found);
    this.#failures.delete(seen.id);
  }

  async #settle(seen: NodeRow, found: PowerState): Promise<void> {
    await underLock(this.#parts, seen, async (node) => {
      const recorded = node.powerState;
      if (recorded !== null && this.#parts.duties.forcePowerState) return this.#bringBack(node, recorded, found);
      await this.#parts.db.nodes.update(node.id, { powerState: found });
      this.#failures.delete(node.id);
      if (recorded === null) return; // first answer
      this.#parts.log.warn({ node: node.uuid, recorded, found }, 'power state was not as recorded; what is found is recorded now');
      await noteEvent(this.#parts, node, 'monitoring', `Power state was recorded as "${recorded}" and found as "${found}", which nobody asked for here: "${found}" is recorded now.`);
    });
  }

  async #bringBack(node: NodeRow, recorded: PowerState, found: PowerState): Promise<void> {
    const { db, hardware, limits, log } = this.#parts;
    log.warn({ node: node.uuid, recorded, found }, 'power state is not as recorded; it is brought back');
    await db.nodes.update(node.id, { targetPowerState: recorded });
    try {
      await hardware.driversFor(node).power.setPowerState(await driverTask(this.#parts, node, 2 * limits.powerTimeoutMs), recorded, limits.powerTimeoutMs);
      this.#failures.delete(node.id);
      await noteEvent(this.#parts, node, 'monitoring', `Power state was recorded as "${recorded}" and found as "${found}", which nobody asked for here: it was brought back to "${recorded}".`);
    } catch (error) {
      if (this.#parts.background.signal.aborted) return;
      await this.#countFailure(node, new OperationFailedError(`it was found as "${found}" and could not be brought back to "${recorded}": ${messageOf(error)}`, {}, error), found);
    } finally {
      await db.nodes.update(node.id, { targetPowerState: null });
    }
  }

  async #noteFailure(seen: NodeRow, error: unknown): Promise<void> {
    if (powerOf(this.#parts, seen) === null || (seen.powerState === null && error instanceof InvalidParameterError)) {
      this.#parts.log.debug({ node: seen.uuid, reason: messageOf(error) }, 'power state is not asked for: the node is not set up for it');
      return;
    }
    if ((this.#failures.get(seen.id) ?? 0) + 1 < this.#parts.duties.powerSyncAttempts) {
      await this.#countFailure(seen, error, null);
      return;
    }
    await underLock(this.#parts, seen, (node) => this.#countFailure(node, error, null));
  }

  /** At the last attempt the lock must be held. */
  async #countFailure(node: NodeRow, error: unknown, found: PowerState | null): Promise<void> {
    const failures = (this.#failures.get(node.id) ?? 0) + 1;
    this.#failures.set(node.id, failures);
    this.#parts.log.warn({ node: node.uuid, failures, error: messageOf(error) }, 'power state can not be synchronised');
    if (failures < this.#parts.duties.powerSyncAttempts) return;
    this.#failures.delete(node.id);
    const reason = `The power state could not be synchronised ${failures} times in a row; the node is in maintenance until its BMC works again (fault "${POWER_FAILURE}"). Last: ${messageOf(error)}`;
    await this.#parts.db.nodes.update(node.id, { maintenance: true, maintenanceReason: reason, fault: POWER_FAILURE, lastError: reason, powerState: found });
    await noteEvent(this.#parts, node, 'monitoring', reason, { error: true });
  }
}

/** Asks the machine, within the time that a BMC has. @throws MetalshotError */
export async function askPowerState(parts: WorkflowParts, node: NodeRow): Promise<PowerState> {
  const task = await driverTask(parts, node, ANSWER_TIMEOUT_MS);
  try {
    return await parts.hardware.driversFor(node).power.getPowerState(task);
  } catch (error) {
    if (task.signal.aborted && !parts.background.signal.aborted) throw new OperationFailedError(`the BMC did not tell the power state within ${ANSWER_TIMEOUT_MS / 1000} s`, {}, error);
    throw error;
  }
}

/** Null: the node's hardware type or one of its interfaces is not enabled here any more. */
function powerOf(parts: WorkflowParts, node: NodeRow): PowerDriver | null {
  try {
    return parts.hardware.driversFor(node).power;
  } catch {
    return null; // a matter of configuration, of which requests are told; no failure of the machine
  }
}

/** Runs `work` under the lock if that is free and nothing of the node has changed since it was seen; otherwise a later round does. */
export async function underLock(parts: WorkflowParts, seen: NodeRow, work: (node: NodeRow) => Promise<void>): Promise<void> {
  const node = await takeFreeLock(parts, seen.id);
  if (!node) return;
  try {
    if (node.updatedAt?.getTime() === seen.updatedAt?.getTime()) await work(node); // every write but the lock's sets the time
  } finally {
    await parts.db.nodes.release(node.id, parts.host);
  }
}
