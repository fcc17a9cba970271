import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Logger } from '../protocol/log.ts';
import { ramdiskConfigSchema, type RamdiskConfig } from '../protocol/ramdisk-boot.ts';
import { RAMDISK_RUN_DIRECTORY, type AgentConfig } from './config.ts';
import type { BlockDevices } from './devices/block-device.ts';
import { ExplicitDevices } from './devices/explicit-devices.ts';
import { ensureRamdisk, RamdiskDevices } from './devices/ramdisk-devices.ts';
import { ConfiguredHardware, hardwareConfigSchema } from './hardware/configured-hardware.ts';
import type { Hardware } from './hardware/hardware.ts';
import { RamdiskHardware } from './hardware/ramdisk-hardware.ts';
import type { LogMemory } from './logs/log-memory.ts';
import type { LogSource } from './logs/log-source.ts';
import { listRamdiskLogSources } from './logs/ramdisk-log-sources.ts';
import { rebootRamdisk, rebootSimulated, type Reboot } from './reboot.ts';
import { Watchdog } from './watchdog.ts';

/** What the agent works on. */
export interface Machine {
  devices: BlockDevices;
  hardware: Hardware;
  logSources: readonly LogSource[];
  /** When it leaves the ramdisk by itself, and how; null: never. */
  deadMan: { limits: RamdiskConfig; reboot: Reboot } | null;
  /** Null where there is none, or where it is not ours to open. */
  openWatchdog(): Promise<Watchdog | null>;
}

/** Where init may keep what all agents of this boot have printed. */
const LOG_FILE = `${RAMDISK_RUN_DIRECTORY}/agent.log`;
export const AGENT_LOG_LIMIT_BYTES = 1024 * 1024;

/**
 * The configured machine, or the one that we run on: that only in the ramdisk.
 * @param exit ends this process at once: what a simulated machine gets for a reboot. @throws ForbiddenError
 */
export function describeMachine(config: AgentConfig, log: Logger, logMemory: LogMemory, exit: () => void): Machine {
  const ownLog = (file: string | null): LogSource => ({ name: 'agent.log', limitBytes: AGENT_LOG_LIMIT_BYTES, read: () => Promise.resolve(file !== null && existsSync(file) ? readEnd(file, AGENT_LOG_LIMIT_BYTES) : logMemory.text) });
  if (config.devices) {
    const hardware = config.hardware ?? hardwareConfigSchema.parse({});
    return {
      devices: new ExplicitDevices(config.devices, hardware.disk_driver),
      hardware: new ConfiguredHardware(hardware, config.addresses),
      logSources: [ownLog(null)],
      deadMan: config.ramdisk ? { limits: config.ramdisk, reboot: rebootSimulated(config.reboot_command, log, exit) } : null,
      openWatchdog: () => Promise.resolve(null),
    };
  }
  ensureRamdisk();
  const limits = config.ramdisk ?? ramdiskConfigSchema.parse({});
  return {
    devices: new RamdiskDevices(),
    hardware: new RamdiskHardware(),
    logSources: [ownLog(LOG_FILE), ...listRamdiskLogSources()],
    deadMan: { limits, reboot: rebootRamdisk(log) },
    openWatchdog: () => Watchdog.open({ timeoutS: limits.watchdog_timeout_s, log }),
  };
}

/** The end of a file that may be much larger. */
function readEnd(path: string, limitBytes: number): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, limitBytes));
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, size - bytes.length)).toString();
  } finally {
    closeSync(file);
  }
}
