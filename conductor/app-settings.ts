import { readFile } from 'node:fs/promises';
import { InvalidParameterError, messageOf } from '../protocol/errors.ts';
import type { Config } from './config.ts';
import type { OperationLimits } from './drivers/deployment.ts';
import type { SnapshotLimits } from './drivers/interfaces.ts';
import type { DutyOptions, WorkflowTimes } from './workflow/parts.ts';

/** What drivers and workflow are set to, made of the configuration: durations are seconds there and milliseconds here. */

/** The text of a file that the configuration names. @throws InvalidParameterError naming the key. */
export async function readNamedFile(configKey: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new InvalidParameterError(`${configKey}: ${file} cannot be read: ${messageOf(error)}`, {}, error);
  }
}

export const milliseconds = (seconds: number): number => Math.round(seconds * 1000);

export const limitsOf = ({ conductor, snapshot }: Config): SnapshotLimits => ({
  softPowerOffTimeoutMs: milliseconds(conductor.soft_power_off_timeout_s),
  powerTimeoutMs: milliseconds(conductor.power_timeout_s),
  captureTimeoutMs: milliseconds(snapshot.capture_timeout_s),
  stallTimeoutMs: milliseconds(snapshot.stall_timeout_s),
  uploadTimeoutMs: milliseconds(snapshot.upload_timeout_s),
  uploadAttempts: snapshot.upload_attempts,
  uploadRetryPauseMs: milliseconds(snapshot.upload_retry_pause_s),
  requeueTimeoutMs: milliseconds(snapshot.requeue_timeout_s),
  maxImageBytes: snapshot.max_image_bytes,
  spoolReserveBytes: snapshot.spool_reserve_bytes,
});

export const operationLimitsOf = ({ conductor, deploy }: Config): OperationLimits => ({
  softPowerOffTimeoutMs: milliseconds(conductor.soft_power_off_timeout_s),
  powerTimeoutMs: milliseconds(conductor.power_timeout_s),
  fetchTimeoutMs: milliseconds(deploy.fetch_timeout_s),
  writeTimeoutMs: milliseconds(deploy.write_timeout_s),
  cleanTimeoutMs: milliseconds(deploy.clean_timeout_s),
  stallTimeoutMs: milliseconds(deploy.stall_timeout_s),
});

export const dutiesOf = ({ conductor }: Config): DutyOptions => ({
  powerSyncIntervalMs: milliseconds(conductor.power_sync_interval_s),
  powerSyncAttempts: conductor.power_sync_attempts,
  forcePowerState: conductor.force_power_state,
  conductorTimeoutMs: milliseconds(conductor.conductor_timeout_s),
});

export const timesOf = ({ conductor, snapshot }: Config): WorkflowTimes => ({
  heartbeatTimeoutMs: milliseconds(conductor.heartbeat_timeout_s),
  callbackTimeoutMs: milliseconds(conductor.callback_timeout_s),
  checkIntervalMs: milliseconds(conductor.check_interval_s),
  pollIntervalMs: milliseconds(snapshot.poll_interval_s),
  lockAttempts: conductor.lock_attempts,
  lockRetryIntervalMs: milliseconds(conductor.lock_retry_interval_s),
  bootBackRetryMs: milliseconds(conductor.boot_back_retry_s),
  bootBackRetryMaxMs: milliseconds(conductor.boot_back_retry_max_s),
});
