import { setTimeout as pause } from 'node:timers/promises';
import { inventorySchema, type Inventory } from '../../protocol/inventory.ts';
import type { ImageService, Outcome, Phase, SnapshotLimits, SnapshotShare, SnapshotTask } from '../drivers/interfaces.ts';
import type { NodeRow, PortRow, SnapshotDiskRow, SnapshotRow } from '../db/rows.ts';
import { BOOT_BACK_TRIES } from '../drivers/ramdisk-phases.ts';
import { bootBack, noteFailedBootBack } from './boot-back.ts';
import type { WorkflowParts } from './parts.ts';
import type { WorkUnderWay } from './work-under-way.ts';
import { WorkSession } from './work-session.ts';

/** A snapshot under our hands: the task that its driver is given. */
export class SnapshotSession extends WorkSession implements SnapshotTask {
  readonly share: SnapshotShare;
  readonly images: ImageService;
  readonly limits: SnapshotLimits;
  #snapshot: SnapshotRow;

  private constructor(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow, ports: readonly PortRow[]) {
    super(parts, node, ports, { snapshot: snapshot.uuid });
    this.#snapshot = snapshot;
    this.share = parts.share;
    this.images = parts.images;
    this.limits = parts.limits;
  }

  static async open(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow): Promise<SnapshotSession> {
    return new SnapshotSession(parts, node, snapshot, await parts.db.ports.ofNode(node.id));
  }

  protected get work(): WorkUnderWay {
    return { kind: 'snapshot', row: this.#snapshot };
  }

  get snapshot(): Readonly<SnapshotRow> {
    return this.#snapshot;
  }

  runPhases(phases: readonly Phase[]): Promise<Outcome> {
    return this.runInOrder(
      phases,
      (phase) => this.parts.db.snapshots.setPhase(this.#snapshot.id, phase.name),
      (phase) => phase.run(this),
    );
  }

  async saveSnapshot(patch: Parameters<SnapshotTask['saveSnapshot']>[0]): Promise<void> {
    await this.parts.db.snapshots.update(this.#snapshot.id, patch);
    this.#snapshot = { ...this.#snapshot, ...patch };
  }

  async saveDisk(position: number, patch: Parameters<SnapshotTask['saveDisk']>[1]): Promise<void> {
    await this.parts.db.snapshots.updateDisk(this.#snapshot.id, position, patch);
    const disks: SnapshotDiskRow[] = this.#snapshot.disks.map((disk) => (disk.position === position ? { ...disk, ...patch } : disk));
    this.#snapshot = { ...this.#snapshot, disks };
  }

  async inventory(): Promise<Inventory | null> {
    return inventorySchema.safeParse((await this.parts.db.inventories.ofNode(this.node.id))?.inventory).data ?? null;
  }

  /** A BMC that is away for a moment must not cost an image that is whole and proven: it is tried a few times before the snapshot fails. */
  async bootBack(): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await bootBack(this.parts, this.node, this.work);
        break;
      } catch (error) {
        if (tries === BOOT_BACK_TRIES || this.signal.aborted || this.parts.background.signal.aborted) throw error;
        await noteFailedBootBack(this.parts, await this.parts.db.nodes.get(this.node.id), error);
      }
      await this.reload();
      await pause(Math.max(1, (this.node.bootBackNextAt?.getTime() ?? 0) - Date.now()), undefined, { signal: this.signal });
    }
    await this.reload();
  }

  protected override async reload(): Promise<void> {
    await super.reload();
    this.#snapshot = (await this.parts.db.snapshots.latestOf(this.node.id)) ?? this.#snapshot;
  }
}
