import { deadline } from '../../protocol/deadline.ts';
import type { DriverTask } from '../drivers/interfaces.ts';
import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** A driver's view of a node: the row as it is now, its ports, and a signal that ends with the conductor or with `deadlineMs`. */
export async function driverTask(parts: WorkflowParts, node: NodeRow, deadlineMs?: number): Promise<DriverTask> {
  return {
    node,
    ports: await parts.db.ports.ofNode(node.id),
    log: parts.log.child({ node: node.uuid }),
    signal: deadlineMs === undefined ? parts.background.signal : deadline(deadlineMs, parts.background.signal),
  };
}
