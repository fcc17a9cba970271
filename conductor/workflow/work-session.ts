import { deadline } from '../../protocol/deadline.ts';
import { MetalshotError, OperationFailedError } from '../../protocol/errors.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { Logger } from '../../protocol/log.ts';
import type { NodePatch } from '../db/node-store.ts';
import type { NodeRow, PortRow } from '../db/rows.ts';
import type { AgentClient, DriverSet, Outcome, RamdiskPresence } from '../drivers/interfaces.ts';
import { noteEvent } from './history-lines.ts';
import type { WorkflowParts } from './parts.ts';
import { ramdiskPresence } from './ramdisk-presence.ts';
import { refuseSecondLookup } from './second-lookup.ts';
import type { WorkUnderWay } from './work-under-way.ts';

interface TimedPhase {
  name: string;
  timeoutMs: number;
}

/** Work of the ramdisk under our hands, whatever it is: the node, its drivers, and phases that are stored and have deadlines. Rows are replaced by what was stored, never the other way round. */
export abstract class WorkSession {
  /** As last stored. */
  declare readonly node: Readonly<NodeRow>;
  /** Of the phase under way. */
  declare readonly signal: AbortSignal;
  readonly drivers: DriverSet;
  readonly agent: AgentClient;
  readonly log: Logger;
  readonly ports: readonly PortRow[];
  protected readonly parts: WorkflowParts;
  /** What the ramdisk is, or was, there for; null: not known. */
  protected abstract readonly work: WorkUnderWay | null;
  #node: NodeRow;
  #signal: AbortSignal;

  protected constructor(parts: WorkflowParts, node: NodeRow, ports: readonly PortRow[], names: Record<string, string>, signal: AbortSignal = parts.background.signal) {
    this.parts = parts;
    this.#node = node;
    this.ports = ports;
    this.#signal = signal;
    // properties of the object itself: whoever copies a task has them, too
    Object.defineProperties(this, { node: { get: () => this.#node, enumerable: true }, signal: { get: () => this.#signal, enumerable: true } });
    this.drivers = parts.hardware.driversFor(node);
    this.agent = parts.agent;
    this.log = parts.log.child({ node: node.uuid, ...names });
  }

  async saveNode(patch: NodePatch): Promise<void> {
    await this.parts.db.nodes.update(this.#node.id, patch);
    await this.reload();
  }

  saveInventory(inventory: Inventory): Promise<void> {
    return this.parts.db.inventories.save(this.#node.id, inventory);
  }

  ramdiskPresence(): Promise<RamdiskPresence> {
    return ramdiskPresence(this.parts, this.node, this.work);
  }

  async keepRamdiskLogs(): Promise<void> {
    const { work } = this;
    if (work === null) return;
    await this.parts.ramdiskLogs.keep(this.node, work.row.uuid, { failed: work.row.status === 'failed', signal: this.parts.background.signal });
  }

  noteEvent(event: string): Promise<void> {
    return noteEvent(this.parts, this.node, 'conductor', event, { error: true });
  }

  /** Reads the rows anew. */
  protected async reload(): Promise<void> {
    this.#node = await this.parts.db.nodes.get(this.#node.id);
  }

  /** Runs phases in order, each stored by `begin` and within its deadline, up to the first that waits. Fails where a second machine has looked itself up meanwhile. */
  protected async runInOrder<Phase extends TimedPhase>(phases: readonly Phase[], begin: (phase: Phase) => Promise<void>, run: (phase: Phase) => Promise<Outcome>): Promise<Outcome> {
    for (const phase of phases) {
      await begin(phase);
      await this.reload();
      refuseSecondLookup(this.node);
      this.log.info({ phase: phase.name }, 'phase begins');
      const outcome = await this.#within(phase, () => run(phase));
      await this.reload();
      refuseSecondLookup(this.node);
      if (outcome === 'wait') return 'wait';
    }
    return 'done';
  }

  async #within({ name, timeoutMs }: TimedPhase, run: () => Promise<Outcome>): Promise<Outcome> {
    const { signal: stopping } = this.parts.background;
    this.#signal = deadline(timeoutMs, stopping);
    try {
      return await run();
    } catch (error) {
      if (this.#signal.aborted && !stopping.aborted) {
        throw new OperationFailedError(`The phase "${name}" did not end within ${timeoutMs / 1000} s${error instanceof MetalshotError ? `: ${error.message}` : ''}`, {}, error);
      }
      throw error;
    } finally {
      this.#signal = stopping;
    }
  }
}
