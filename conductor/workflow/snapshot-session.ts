import { MetalshotError, OperationFailedError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { AgentClient, DriverSet, ImageService, Outcome, Phase, SnapshotLimits, SnapshotShare, SnapshotTask } from '../drivers/interfaces.ts';
import type { NodeRow, PortRow, SnapshotDiskRow, SnapshotRow } from '../db/rows.ts';
import { bootBack } from './boot-back.ts';
import type { WorkflowParts } from './parts.ts';

/** A snapshot under our hands: the task that its driver is given. Rows are replaced by what was stored, never the other way round. */
export class SnapshotSession implements SnapshotTask {
  readonly drivers: DriverSet;
  readonly share: SnapshotShare;
  readonly images: ImageService;
  readonly agent: AgentClient;
  readonly limits: SnapshotLimits;
  readonly log: Logger;
  readonly #parts: WorkflowParts;
  #node: NodeRow;
  #snapshot: SnapshotRow;
  #signal: AbortSignal;
  #ports: readonly PortRow[];

  private constructor(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow, ports: readonly PortRow[]) {
    this.#parts = parts;
    this.#node = node;
    this.#snapshot = snapshot;
    this.#ports = ports;
    this.#signal = parts.background.signal;
    this.drivers = parts.hardware.driversFor(node);
    this.share = parts.share;
    this.images = parts.images;
    this.agent = parts.agent;
    this.limits = parts.limits;
    this.log = parts.log.child({ node: node.uuid, snapshot: snapshot.uuid });
  }

  static async open(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow): Promise<SnapshotSession> {
    return new SnapshotSession(parts, node, snapshot, await parts.db.ports.ofNode(node.id));
  }

  get node(): Readonly<NodeRow> {
    return this.#node;
  }
  get snapshot(): Readonly<SnapshotRow> {
    return this.#snapshot;
  }
  get ports(): readonly PortRow[] {
    return this.#ports;
  }
  get signal(): AbortSignal {
    return this.#signal;
  }

  async runPhases(phases: readonly Phase[]): Promise<Outcome> {
    for (const phase of phases) {
      await this.#parts.db.snapshots.setPhase(this.#snapshot.id, phase.name);
      await this.#reloadSnapshot();
      this.log.info({ phase: phase.name }, 'phase begins');
      const outcome = await this.#within(phase);
      if (outcome === 'wait') return 'wait';
    }
    return 'done';
  }

  async saveSnapshot(patch: Parameters<SnapshotTask['saveSnapshot']>[0]): Promise<void> {
    await this.#parts.db.snapshots.update(this.#snapshot.id, patch);
    this.#snapshot = { ...this.#snapshot, ...patch };
  }

  async saveDisk(position: number, patch: Parameters<SnapshotTask['saveDisk']>[1]): Promise<void> {
    await this.#parts.db.snapshots.updateDisk(this.#snapshot.id, position, patch);
    const disks: SnapshotDiskRow[] = this.#snapshot.disks.map((disk) => (disk.position === position ? { ...disk, ...patch } : disk));
    this.#snapshot = { ...this.#snapshot, disks };
  }

  async saveNode(patch: Parameters<SnapshotTask['saveNode']>[0]): Promise<void> {
    await this.#parts.db.nodes.update(this.#node.id, patch);
    this.#node = await this.#parts.db.nodes.get(this.#node.id);
  }

  async bootBack(): Promise<void> {
    this.#node = await bootBack(this.#parts, this.#node, this.#snapshot);
    await this.#reloadSnapshot();
  }

  async #reloadSnapshot(): Promise<void> {
    this.#snapshot = (await this.#parts.db.snapshots.latestOf(this.#node.id)) ?? this.#snapshot;
    this.#node = await this.#parts.db.nodes.get(this.#node.id);
  }

  async #within(phase: Phase): Promise<Outcome> {
    const deadline = AbortSignal.timeout(phase.timeoutMs);
    this.#signal = AbortSignal.any([this.#parts.background.signal, deadline]);
    try {
      return await phase.run(this);
    } catch (error) {
      if (deadline.aborted && !this.#parts.background.signal.aborted) {
        throw new OperationFailedError(`The phase "${phase.name}" did not end within ${phase.timeoutMs / 1000} s${error instanceof MetalshotError ? `: ${error.message}` : ''}`, {}, error);
      }
      throw error;
    } finally {
      this.#signal = this.#parts.background.signal;
    }
  }
}
