import type { Logger } from '../../protocol/log.ts';
import type { Database } from '../db/database.ts';
import type { OperationLimits } from '../drivers/deployment.ts';
import type { AgentClient, ImageService, SnapshotLimits, SnapshotShare } from '../drivers/interfaces.ts';
import type { HardwareRegistry } from '../drivers/hardware.ts';
import type { BackgroundWork } from './background-work.ts';
import type { RamdiskLogs } from './ramdisk-logs.ts';

/** Durations in milliseconds; see the configuration for their meaning. */
export interface WorkflowTimes {
  heartbeatTimeoutMs: number;
  callbackTimeoutMs: number;
  checkIntervalMs: number;
  pollIntervalMs: number;
  lockAttempts: number;
  lockRetryIntervalMs: number;
  bootBackRetryMs: number;
  bootBackRetryMaxMs: number;
  /** What a ramdisk needs at least to go back to the server's own system by itself: one that was heard of later is still there. */
  ramdiskLeaveMs: number;
}

/** How a conductor looks after nodes that nobody has asked anything of. */
export interface DutyOptions {
  /** 0: power states are not asked for. */
  powerSyncIntervalMs: number;
  /** Failures in a row after which a node is put into maintenance. */
  powerSyncAttempts: number;
  /** Whether the recorded power state is brought about again, instead of recording what is found. */
  forcePowerState: boolean;
  /** A conductor that has not been seen for so long is dead. */
  conductorTimeoutMs: number;
}

/** What every part of the workflow works with; made once by app. */
export interface WorkflowParts {
  /** Name of this conductor: what stands in `reservation`. */
  readonly host: string;
  readonly db: Database;
  readonly hardware: HardwareRegistry;
  readonly share: SnapshotShare;
  readonly images: ImageService;
  readonly agent: AgentClient;
  readonly times: WorkflowTimes;
  readonly duties: DutyOptions;
  readonly limits: SnapshotLimits;
  readonly operationLimits: OperationLimits;
  /** Whether a node is cleaned on its way to `available`, where the node itself does not say. */
  readonly automatedClean: boolean;
  readonly maxConcurrentCaptures: number;
  /** CIDR of networks in which agents may be reached although they call from elsewhere. */
  readonly callbackNetworks: readonly string[];
  readonly ramdiskLogs: RamdiskLogs;
  readonly background: BackgroundWork;
  readonly log: Logger;
}
