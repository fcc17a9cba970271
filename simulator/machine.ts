import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ConflictError, messageOf, OperationFailedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { BootOverride, type BootTarget } from './boot-override.ts';
import type { MachineConfig } from './config.ts';
import { faultsSchema, type FaultChange, type Faults } from './faults.ts';
import { RamdiskBoot } from './ramdisk-boot.ts';
import { Turns } from './turns.ts';

export const RESET_TYPES = ['On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart', 'ForceRestart'] as const;
export type ResetType = (typeof RESET_TYPES)[number];

/** One boot of a machine, newest last in its log. */
export interface BootRecord {
  at: string;
  target: BootTarget;
  /** `hung`: powered on, nothing runs; `ended`: what ran ended by itself and left the machine on. */
  result: 'running' | 'hung' | 'ended' | 'off';
  /** Console log of a ramdisk. */
  log: string | null;
  error: string | null;
}

interface PoweredOn {
  /** Aborted at power-off. */
  off: AbortController;
  target: BootTarget;
  ramdisk: RamdiskBoot | null;
  record: BootRecord;
}

const BOOT_LOG_LENGTH = 100;
/** What a ramdisk gets to shut down before it is switched off. */
const RAMDISK_SHUTDOWN_MS = 5_000;

/** A server: power, a boot override, disks, and what it runs. Power actions take turns, as they do at a real BMC. */
export class SimulatedMachine {
  readonly id: string;
  readonly uuid: string;
  readonly config: MachineConfig;
  readonly directory: string;
  readonly bootOverride = new BootOverride();
  faults: Faults;
  readonly bootLog: BootRecord[] = [];
  readonly #agentCommand: readonly string[];
  readonly #log: Logger;
  readonly #turns = new Turns();
  /** Present while powered on. */
  #powered: PoweredOn | null = null;
  #boots = 0;

  constructor(config: MachineConfig, options: { runDirectory: string; agentCommand: readonly string[]; log: Logger }) {
    this.id = config.id;
    this.uuid = config.uuid ?? randomUUID();
    this.config = config;
    this.faults = faultsSchema.parse(config.faults);
    this.directory = join(options.runDirectory, config.id);
    this.#agentCommand = options.agentCommand;
    this.#log = options.log.child({ machine: config.id });
  }

  get powerState(): 'On' | 'Off' {
    return this.#powered ? 'On' : 'Off';
  }

  get runningFrom(): 'disk' | 'ramdisk' | null {
    if (this.#powered?.record.result !== 'running') return null;
    return this.#powered.target === 'Pxe' ? 'ramdisk' : 'disk';
  }

  setFaults(change: FaultChange): void {
    this.faults = faultsSchema.parse({ ...this.faults, ...change });
  }

  /** Counts a request to the BMC; the fault that it has to suffer, if any. */
  takeBmcFault(): 'error' | 'hang' | 'drop' | null {
    const { bmc } = this.faults;
    if (bmc === null) return null;
    if (bmc.requests !== null) this.faults = { ...this.faults, bmc: bmc.requests > 1 ? { ...bmc, requests: bmc.requests - 1 } : null };
    return bmc.mode;
  }

  /** Makes the machine's directory and brings it to the power state of its configuration. */
  async start(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    if (this.config.power === 'On') await this.#turns.take(() => this.#switchOn());
  }

  /**
   * A reset request. Resolves when it is carried out; a graceful one when the operating system has been asked.
   * @throws OperationFailedError or ConflictError as the machine's faults say.
   */
  async reset(type: ResetType): Promise<void> {
    this.#log.info({ reset: type, power: this.powerState }, 'reset');
    if (this.faults.strict_reset && ((type === 'On' && this.#powered) || ((type === 'ForceOff' || type === 'GracefulShutdown') && !this.#powered))) {
      throw new ConflictError(`The machine is already ${this.powerState}`);
    }
    switch (type) {
      case 'On':
        return this.#turns.take(() => this.#powerOn());
      case 'ForceOff':
        return this.#turns.take(() => this.#powerOff());
      case 'ForceRestart':
        return this.#turns.take(async () => {
          await this.#powerOff();
          await this.#powerOn();
        });
      case 'GracefulShutdown':
      case 'GracefulRestart':
        return this.#shutDown(type === 'GracefulRestart');
    }
  }

  /** Power cut, whatever faults are set; the machine's directory is removed unless it is to be kept. */
  async close(keepDirectory: boolean): Promise<void> {
    await this.#turns.take(() => this.#switchOff());
    if (!keepDirectory) await rm(this.directory, { recursive: true, force: true });
  }

  async #powerOn(): Promise<void> {
    if (this.faults.power_on === 'refused') throw new OperationFailedError('The power supply does not switch on (fault power_on: refused)');
    if (this.faults.power_on === 'silent') return;
    await this.#switchOn();
  }

  async #powerOff(): Promise<void> {
    if (this.faults.power_off === 'refused') throw new OperationFailedError('The power supply does not switch off (fault power_off: refused)');
    if (this.faults.power_off === 'silent') return;
    await this.#switchOff();
  }

  async #switchOn(): Promise<void> {
    if (this.#powered) return;
    const target = this.bootOverride.takeForBoot();
    const record: BootRecord = { at: new Date().toISOString(), target, result: 'running', log: null, error: null };
    const powered: PoweredOn = { off: new AbortController(), target, ramdisk: null, record };
    this.#boots += 1;
    this.bootLog.push(record);
    this.bootLog.splice(0, this.bootLog.length - BOOT_LOG_LENGTH);
    this.#powered = powered;
    if (target === 'Hdd') return;
    if (this.faults.pxe_hangs) {
      record.result = 'hung';
      return;
    }
    try {
      powered.ramdisk = await RamdiskBoot.start(this, this.#agentCommand, this.#boots);
      record.log = powered.ramdisk.logPath;
      void powered.ramdisk.ended.then(() => {
        if (record.result === 'running') record.result = 'ended';
      });
    } catch (error) {
      // Like a kernel that does not come up: the machine is on, nothing runs, and its log says why.
      record.result = 'hung';
      record.error = messageOf(error);
      this.#log.error({ error: record.error }, 'the ramdisk did not start');
    }
  }

  async #switchOff(): Promise<void> {
    const powered = this.#powered;
    if (!powered) return;
    powered.record.result = 'off';
    powered.off.abort();
    try {
      await powered.ramdisk?.cutPower();
    } finally {
      this.#powered = null;
    }
  }

  /** What runs is asked to shut down; nothing runs, or it does not listen: the machine stays on. */
  #shutDown(restart: boolean): Promise<void> {
    const powered = this.#powered;
    if (!powered) return restart ? this.#turns.take(() => this.#powerOn()) : Promise.resolve();
    if (this.faults.ignore_graceful_shutdown || this.runningFrom === null) return Promise.resolve();
    void this.#shutDownPowered(powered, restart).catch((error: unknown) => this.#log.error({ error: messageOf(error) }, 'shutting down failed'));
    return Promise.resolve();
  }

  async #shutDownPowered(powered: PoweredOn, restart: boolean): Promise<void> {
    if (powered.ramdisk) await powered.ramdisk.shutDown(RAMDISK_SHUTDOWN_MS);
    else await pause(this.config.soft_off_ms, undefined, { signal: powered.off.signal }).catch(() => undefined); // switched off meanwhile
    await this.#turns.take(async () => {
      if (this.#powered !== powered) return;
      await this.#switchOff();
      if (restart) await this.#powerOn();
    });
  }
}
