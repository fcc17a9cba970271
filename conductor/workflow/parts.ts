import type { Logger } from '../../protocol/log.ts';
import type { Database } from '../db/database.ts';
import type { AgentClient, ImageService, SnapshotLimits, SnapshotShare } from '../drivers/interfaces.ts';
import type { HardwareRegistry } from '../drivers/hardware.ts';
import type { BackgroundWork } from './background-work.ts';

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
  readonly limits: SnapshotLimits;
  readonly maxConcurrentCaptures: number;
  readonly background: BackgroundWork;
  readonly log: Logger;
}
