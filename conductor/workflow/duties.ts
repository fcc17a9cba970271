import { FaultRecovery } from './fault-recovery.ts';
import { HolderFormats } from './holder-formats.ts';
import { takeBackLocks } from './lock-takeback.ts';
import type { WorkflowParts } from './parts.ts';
import { PowerSync } from './power-sync.ts';
import type { Executors } from './work.ts';

/** Rounds of power sync from one look after faulty nodes to the next. */
const FAULT_RECOVERY_ROUNDS = 3;

/** What a conductor does by itself, again and again, for nodes that nobody has asked anything of. */
export function startDuties(parts: WorkflowParts, executors: Executors): void {
  const { background, times } = parts;
  const { powerSyncIntervalMs } = parts.duties;
  if (powerSyncIntervalMs > 0) {
    const [sync, recovery] = [new PowerSync(parts), new FaultRecovery(parts)];
    background.every('power sync', powerSyncIntervalMs, () => sync.round());
    background.every('fault recovery', FAULT_RECOVERY_ROUNDS * powerSyncIntervalMs, () => recovery.round());
  }
  const holders = new HolderFormats(parts);
  background.every('take back formats of image holders', times.checkIntervalMs, () => holders.round());
  background.every('take back locks of dead conductors', times.checkIntervalMs, () => takeBackLocks(parts, executors));
}
