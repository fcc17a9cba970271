import { deadline } from '../../protocol/deadline.ts';
import type { Logger } from '../../protocol/log.ts';
import type { DriverTask } from '../drivers/interfaces.ts';
import type { NodeRow, PortRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** A driver's view of a node: the row as it is now, its ports, and a signal that ends with the conductor or with `deadlineMs`. */
export async function driverTask(parts: WorkflowParts, node: NodeRow, deadlineMs?: number): Promise<DriverTask> {
  const ports = await parts.db.ports.ofNode(node.id);
  const signal = deadlineMs === undefined ? parts.background.signal : deadline(deadlineMs, parts.background.signal);
  return plainTask(node, ports, parts.log.child({ node: node.uuid }), signal);
}

const plainTask = (node: NodeRow, ports: readonly PortRow[], log: Logger, signal: AbortSignal): DriverTask => ({ node, ports, log, signal });
