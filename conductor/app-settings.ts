import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InvalidParameterError, messageOf } from '../protocol/errors.ts';
import type { ShareOptions } from '../webdav/share.ts';
import type { Config } from './config.ts';
import type { OperationLimits } from './drivers/deployment.ts';
import type { HardwareServices } from './drivers/hardware.ts';
import type { SnapshotLimits } from './drivers/interfaces.ts';
import type { EffectiveOptions } from './drivers/snapshot/snapshot-options.ts';
import type { DutyOptions, WorkflowTimes } from './workflow/parts.ts';
import type { RamdiskLogsOptions } from './workflow/ramdisk-logs.ts';

/** What drivers and workflow are set to, made of the configuration: durations are seconds there and milliseconds here. */

/** From a ramdisk's last word to a system of the server's own that has mounted its disk: a panic's pause of 10 s, the firmware, a boot loader. */
const RAMDISK_LEAVE_MS = 30_000;

/** The text of a file that the configuration names. @throws InvalidParameterError naming the key. */
export async function readNamedFile(configKey: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new InvalidParameterError(`${configKey}: ${file} cannot be read: ${messageOf(error)}`, {}, error);
  }
}

export const milliseconds = (seconds: number): number => Math.round(seconds * 1000);

export const limitsOf = ({ conductor, network, snapshot }: Config): SnapshotLimits => ({
  softPowerOffTimeoutMs: milliseconds(conductor.soft_power_off_timeout_s),
  powerTimeoutMs: milliseconds(conductor.power_timeout_s),
  networkTimeoutMs: milliseconds(network.exec_timeout_s),
  captureTimeoutMs: milliseconds(snapshot.capture_timeout_s),
  stallTimeoutMs: milliseconds(snapshot.stall_timeout_s),
  uploadTimeoutMs: milliseconds(snapshot.upload_timeout_s),
  uploadAttempts: snapshot.upload_attempts,
  uploadRetryPauseMs: milliseconds(snapshot.upload_retry_pause_s),
  requeueTimeoutMs: milliseconds(snapshot.requeue_timeout_s),
  maxImageBytes: snapshot.max_image_bytes,
  spoolReserveBytes: snapshot.spool_reserve_bytes,
});

/** How disks are captured where neither the request nor the node says. */
export const snapshotDefaultsOf = ({ snapshot }: Config): EffectiveOptions => ({
  snapshot_method: snapshot.method,
  full: false,
  on_read_error: snapshot.on_read_error,
  compression: snapshot.compression,
  intermediate_storage: snapshot.intermediate_storage,
  ...(snapshot.max_downtime_s === undefined ? {} : { max_downtime: snapshot.max_downtime_s }),
});

export const bandwidthOf = ({ snapshot }: Config): Pick<ShareOptions, 'maxBytesPerS' | 'maxBytesPerSOfOne'> => ({
  ...(snapshot.max_bandwidth_bytes_s === undefined ? {} : { maxBytesPerS: snapshot.max_bandwidth_bytes_s }),
  ...(snapshot.max_bandwidth_per_snapshot_bytes_s === undefined ? {} : { maxBytesPerSOfOne: snapshot.max_bandwidth_per_snapshot_bytes_s }),
});

export const operationLimitsOf = ({ conductor, deploy, network }: Config): OperationLimits => ({
  softPowerOffTimeoutMs: milliseconds(conductor.soft_power_off_timeout_s),
  powerTimeoutMs: milliseconds(conductor.power_timeout_s),
  networkTimeoutMs: milliseconds(network.exec_timeout_s),
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
  ramdiskLeaveMs: RAMDISK_LEAVE_MS,
});

export const ipmiOptionsOf = ({ ipmi }: Config): NonNullable<HardwareServices['ipmi']> => ({
  commandRetryTimeoutMs: milliseconds(ipmi.command_retry_timeout_s),
  minCommandIntervalMs: milliseconds(ipmi.min_command_interval_s),
});

/** The program that switches networks, where there is one. */
export const networkCommandOf = ({ network }: Config): Pick<HardwareServices, 'networkCommand'> =>
  network.exec_command === undefined ? {} : { networkCommand: { command: network.exec_command, timeoutMs: milliseconds(network.exec_timeout_s) } };

export const ramdiskLogsOf = ({ agent, state_directory: stateDirectory }: Config): RamdiskLogsOptions => ({
  collect: agent.deploy_logs_collect,
  directory: resolve(agent.deploy_logs_directory ?? join(stateDirectory, 'deploy-logs')),
  kept: agent.deploy_logs_kept,
});
