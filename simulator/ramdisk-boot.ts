import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BootLogFile } from './boot-log-file.ts';
import type { MachineConfig } from './config.ts';
import { LoopDevice } from './loop-device.ts';
import type { RunningSystem, SystemEnd } from './machine-hardware.ts';
import { RESET_COMMAND } from './machine-init.ts';
import { Ramdisk } from './ramdisk.ts';

/** What of a machine's memory its file systems may take. */
const FILE_SYSTEM_SHARE = 0.9;
/** What a ramdisk gets to shut down before it is switched off. */
const SHUTDOWN_GRACE_MS = 5_000;

/** A network boot with all that it needs: disks attached, the agent's configuration written, the ramdisk running, a log. */
export class RamdiskBoot implements RunningSystem {
  readonly runsFrom = 'ramdisk';
  readonly logPath: string;
  readonly ended: Promise<SystemEnd>;
  readonly #ramdisk: Ramdisk;
  readonly #devices: readonly LoopDevice[];
  readonly #log: BootLogFile;

  private constructor(ramdisk: Ramdisk, devices: readonly LoopDevice[], log: BootLogFile) {
    this.logPath = log.path;
    this.ended = ramdisk.ended;
    this.#ramdisk = ramdisk;
    this.#devices = devices;
    this.#log = log;
  }

  /** @throws MetalshotError when disks cannot be attached or the ramdisk does not start; nothing is left then. */
  static async start(machine: { config: MachineConfig; directory: string }, agentCommand: readonly string[], bootNumber: number, bootNonce: string | null): Promise<RamdiskBoot> {
    const { config, directory } = machine;
    const runDirectory = join(directory, 'run');
    await mkdir(runDirectory, { recursive: true, mode: 0o700 });
    const log = await BootLogFile.open(directory, bootNumber);
    const devices: LoopDevice[] = [];
    try {
      for (const disk of config.disks) devices.push(await LoopDevice.attach(disk.path, disk.sector_size));
      const agentConfig = join(directory, 'agent.json');
      const memoryBytes = Math.floor(config.memory_bytes * FILE_SYSTEM_SHARE);
      await writeFile(agentConfig, JSON.stringify(agentConfigOf(config, devices, runDirectory, memoryBytes, bootNonce), null, 2), { mode: 0o600 });
      const ramdisk = await Ramdisk.start({ command: [...agentCommand, '--config', agentConfig], runDirectory, memoryBytes, log });
      return new RamdiskBoot(ramdisk, devices, log);
    } catch (error) {
      await Promise.allSettled(devices.map((device) => device.release())); // the error that is thrown says more
      await log.close();
      throw error;
    }
  }

  async shutDown(): Promise<void> {
    await this.#ramdisk.shutDown(SHUTDOWN_GRACE_MS);
  }

  /** Kills everything at once and detaches the disks. */
  async cutPower(): Promise<void> {
    try {
      await this.#ramdisk.kill();
    } finally {
      await this.#log.close();
      await Promise.all(this.#devices.map((device) => device.release()));
    }
  }
}

/** What the rack knows and the agent of a real ramdisk would read from its kernel command line and hardware. */
const agentConfigOf = (config: MachineConfig, devices: readonly LoopDevice[], runDirectory: string, memoryBytes: number, bootNonce: string | null): Record<string, unknown> => ({
  addresses: config.macs,
  devices: config.disks.map(({ serial, wwn, model }, index) => ({ path: devices[index]!.path, serial: serial === undefined ? `${config.id}-disk${index}` : serial, wwn, model })),
  hardware: describeHardware(config),
  run_directory: runDirectory,
  listen_host: '127.0.0.1',
  listen_port: 0, // machines of a rack share one address; a restarted agent takes the port that it had
  cache_size_bytes: memoryBytes,
  reboot_command: RESET_COMMAND,
  ...(bootNonce === null ? {} : { boot_nonce: bootNonce }),
  ...config.agent,
});

const describeHardware = ({ id, memory_bytes, hardware }: MachineConfig): Record<string, unknown> => ({
  boot_mode: hardware.boot_mode,
  disk_driver: hardware.disk_driver,
  interface_driver: hardware.interface_driver,
  memory_bytes,
  system_vendor: { manufacturer: hardware.manufacturer, product_name: hardware.product_name, serial_number: hardware.serial_number ?? id },
});
