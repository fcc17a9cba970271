import type { NodeRow } from '../db/rows.ts';
import type { ApiDependencies } from './dependencies.ts';

/** What a person's word on maintenance makes of a node: a fault that the conductor has put it there for is settled with it, either way. */
export const maintenancePatch = (maintenance: boolean, reason: string | null): Pick<NodeRow, 'maintenance' | 'maintenanceReason' | 'fault'> => ({ maintenance, maintenanceReason: maintenance ? reason : null, fault: null });

/** The line of history for a change of maintenance; none when nothing was changed. */
export async function recordMaintenance({ db, config }: Pick<ApiDependencies, 'db' | 'config'>, before: NodeRow, after: Pick<NodeRow, 'maintenance' | 'maintenanceReason'>, user: string): Promise<void> {
  if (before.maintenance === after.maintenance && before.maintenanceReason === after.maintenanceReason) return;
  const event = after.maintenance ? `Maintenance: on${after.maintenanceReason === null ? '' : ` (${after.maintenanceReason})`}` : 'Maintenance: off';
  await db.history.record({ nodeId: before.id, conductor: config.conductorName, user, eventType: 'maintenance', severity: 'INFO', event });
}
