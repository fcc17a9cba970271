import type { RecordedDisk } from '../../protocol/deploy-commands.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import { namesAnotherDisk } from '../../protocol/root-device-hints.ts';
import type { OperationLimits, OperationPatch, OperationStep, OperationTask } from '../drivers/deployment.ts';
import type { Outcome } from '../drivers/interfaces.ts';
import type { NodeRow, OperationRow, PortRow } from '../db/rows.ts';
import { machineOf, type KnownMachine } from './known-machine.ts';
import type { WorkflowParts } from './parts.ts';
import type { WorkUnderWay } from './work-under-way.ts';
import { WorkSession } from './work-session.ts';

/** A deployment, a rebuild or a cleaning under our hands: the task that the deploy driver is given. */
export class OperationSession extends WorkSession implements OperationTask {
  readonly limits: OperationLimits;
  readonly inventory: Inventory | null;
  readonly recordedDisk: RecordedDisk | null;
  #operation: OperationRow;

  private constructor(parts: WorkflowParts, node: NodeRow, operation: OperationRow, ports: readonly PortRow[], known: KnownMachine) {
    super(parts, node, ports, { operation: operation.uuid });
    this.#operation = operation;
    this.limits = parts.operationLimits;
    this.inventory = known.inventory;
    this.recordedDisk = known.recordedDisk !== null && namesAnotherDisk(known.hints, known.recordedDisk) ? null : known.recordedDisk;
  }

  static async open(parts: WorkflowParts, node: NodeRow, operation: OperationRow): Promise<OperationSession> {
    return new OperationSession(parts, node, operation, await parts.db.ports.ofNode(node.id), await machineOf(parts, node));
  }

  protected get work(): WorkUnderWay {
    return { kind: 'operation', row: this.#operation };
  }

  get operation(): Readonly<OperationRow> {
    return this.#operation;
  }

  runPhases(phases: readonly OperationStep[]): Promise<Outcome> {
    return this.runInOrder(
      phases,
      (phase) => this.parts.db.operations.setPhase(this.#operation.id, phase.name),
      (phase) => phase.run(this),
    );
  }

  async saveOperation(patch: OperationPatch): Promise<void> {
    await this.parts.db.operations.update(this.#operation.id, patch);
    this.#operation = { ...this.#operation, ...patch };
  }

  protected override async reload(): Promise<void> {
    await super.reload();
    this.#operation = (await this.parts.db.operations.latestOf(this.node.id)) ?? this.#operation;
  }
}
