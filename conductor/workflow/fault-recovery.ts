import { messageOf } from '../../protocol/errors.ts';
import type { PowerState } from '../../protocol/provision.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { BmcPool } from './bmc-pool.ts';
import { noteEvent } from './history-lines.ts';
import type { WorkflowParts } from './parts.ts';
import { POWER_FAILURE, askPowerState, underLock } from './power-sync.ts';

/**
 * Takes nodes out of the maintenance that power sync put them into, once their BMC answers again. A person's own maintenance
 * has no fault and is never touched.
 */
export class FaultRecovery {
  readonly #parts: WorkflowParts;
  readonly #pool: BmcPool;

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
    this.#pool = new BmcPool(parts, 'fault recovery');
  }

  /** Starts a round; resolves when every faulty node is being asked. */
  async round(): Promise<void> {
    const nodes = await this.#parts.db.nodes.list({ maintenance: true, fault: POWER_FAILURE });
    this.#pool.start(nodes.filter(isRecoverable), (node) => this.#recover(node));
  }

  async #recover(seen: NodeRow): Promise<void> {
    let powerState: PowerState;
    try {
      powerState = await askPowerState(this.#parts, seen);
    } catch (error) {
      this.#parts.log.debug({ node: seen.uuid, error: messageOf(error) }, 'the BMC does not work yet'); // asked again next time
      return;
    }
    await underLock(this.#parts, seen, async (node) => {
      const lastError = node.lastError === node.maintenanceReason ? null : node.lastError;
      await this.#parts.db.nodes.update(node.id, { maintenance: false, maintenanceReason: null, fault: null, powerState, lastError });
      await noteEvent(this.#parts, node, 'monitoring', `The BMC answers again (power state "${powerState}"): the node is out of maintenance.`);
      this.#parts.log.info({ node: node.uuid, powerState }, 'node recovered from its power failure');
    });
  }
}

/** A server that is still to be brought back is over its fault only when that has worked: see boot-back. */
const isRecoverable = (node: NodeRow): boolean => node.reservation === null && node.targetPowerState === null && node.bootBack !== 'pending' && node.bootBack !== 'failed' && !hasTag(node.provisionState, 'lookup');
