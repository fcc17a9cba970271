import { deadline } from '../../protocol/deadline.ts';
import type { NodeRow, PortRow } from '../db/rows.ts';
import { wayBackTimeoutMs } from '../drivers/ramdisk-phases.ts';
import type { RamdiskLimits, RamdiskTask } from '../drivers/ramdisk-task.ts';
import type { WorkflowParts } from './parts.ts';
import type { WorkUnderWay } from './work-under-way.ts';
import { WorkSession } from './work-session.ts';

/** A server on its way back from the ramdisk, whatever that was there for, and whether or not its work has gone well. */
export class WayBackSession extends WorkSession implements RamdiskTask {
  readonly limits: RamdiskLimits;
  protected readonly work: WorkUnderWay | null;

  private constructor(parts: WorkflowParts, node: NodeRow, work: WorkUnderWay | null, ports: readonly PortRow[]) {
    super(parts, node, ports, work === null ? {} : { [work.kind]: work.row.uuid }, deadline(wayBackTimeoutMs(parts.limits), parts.background.signal));
    this.limits = parts.limits;
    this.work = work;
  }

  static async open(parts: WorkflowParts, node: NodeRow, work: WorkUnderWay | null): Promise<WayBackSession> {
    return new WayBackSession(parts, node, work, await parts.db.ports.ofNode(node.id));
  }
}
