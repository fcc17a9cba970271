import type { NodeRow } from '../db/rows.ts';
import type { DriverSet, DriverTask, RamdiskControl, RamdiskField } from './interfaces.ts';

/** What taking a server into the ramdisk and back needs of a task, whatever the ramdisk is to do. Its `node` is always as stored. */
export interface RamdiskTask extends DriverTask, RamdiskControl {
  readonly drivers: DriverSet;
  readonly limits: RamdiskLimits;
  saveNode(patch: Partial<Pick<NodeRow, RamdiskField>>): Promise<void>;
}

export interface RamdiskLimits {
  softPowerOffTimeoutMs: number;
  powerTimeoutMs: number;
  /** For one call of the network interface. */
  networkTimeoutMs: number;
}

/** What is known of an agent is void with its ramdisk: the next one gets a token of its own. */
export const NO_AGENT = { agentToken: null, agentUrl: null, agentVerifyCa: null, agentLastHeartbeatAt: null };
/** Work begins, or is over: no ramdisk calls, and none has to prove anything. Whether one is still to be cleaned up is another matter. */
export const NO_RAMDISK = { ...NO_AGENT, bootNonceHash: null };
