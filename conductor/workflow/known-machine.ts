import { capturedDiskSchema } from '../../protocol/agent-api.ts';
import type { RecordedDisk } from '../../protocol/deploy-commands.ts';
import { inventorySchema, type Inventory } from '../../protocol/inventory.ts';
import type { NodeRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** What earlier work of the ramdisk has told of a node's machine. */
export interface KnownMachine {
  inventory: Inventory | null;
  /** The root disk that was last captured or written; null when it has neither serial number nor WWN. */
  recordedDisk: RecordedDisk | null;
  /** Root device hints of `instance_info`, else of `properties`, as they were set. */
  hints: Record<string, unknown> | null;
}

export async function machineOf({ db }: WorkflowParts, { id: nodeId, instanceInfo, properties }: NodeRow): Promise<KnownMachine> {
  const [found, captured, written] = await Promise.all([db.inventories.ofNode(nodeId), db.snapshots.latestDevice(nodeId), db.operations.latestWithDevice(nodeId)]);
  const writtenAt = written?.finishedAt ?? written?.startedAt;
  const newest = captured && (!writtenAt || captured.finishedAt > writtenAt) ? captured.device : (written?.device ?? null);
  const hints = (instanceInfo['root_device'] ?? properties['root_device'] ?? null) as KnownMachine['hints'];
  return { inventory: inventorySchema.safeParse(found?.inventory).data ?? null, recordedDisk: recordedDiskOf(newest), hints };
}

function recordedDiskOf(device: unknown): RecordedDisk | null {
  const disk = capturedDiskSchema.safeParse(device).data;
  if (!disk || (disk.serial === null && disk.wwn === null)) return null;
  return { serial: disk.serial, wwn: disk.wwn, size_bytes: disk.size_bytes };
}
