import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** What the conductor does by itself has no user behind it. */
export const SYSTEM_USER = 'system';

/** What is no transition: Ironic's event types for what the conductor found by itself; `power` and `maintenance` are ours, for what people asked for. */
export type EventType = 'monitoring' | 'conductor' | 'takeover' | 'power' | 'maintenance';

/** Adds a line to a node's history that no transition writes. */
export function noteEvent(parts: Pick<WorkflowParts, 'db' | 'host'>, node: Pick<NodeRow, 'id'>, eventType: EventType, event: string, { user = SYSTEM_USER, error = false }: { user?: string; error?: boolean } = {}): Promise<void> {
  return parts.db.history.record({ nodeId: node.id, conductor: parts.host, user, eventType, severity: error ? 'ERROR' : 'INFO', event });
}
