import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, messageOf, OperationFailedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { BootOverride, type BootTarget } from './boot-override.ts';
import type { MachineConfig } from './config.ts';
import { faultsSchema, type FaultChange, type Faults } from './faults.ts';
import type { MachineHardware, RunningSystem, SystemEnd } from './machine-hardware.ts';
import { SimulatedHardware } from './simulated-hardware.ts';
import { Turns } from './turns.ts';
import { VirtualHardware } from './virtual-hardware.ts';
import { VirtualMedia } from './virtual-media.ts';

export const RESET_TYPES = ['On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart', 'ForceRestart'] as const;
export type ResetType = (typeof RESET_TYPES)[number];

/** One boot of a machine, newest last in its log. */
export interface BootRecord {
  at: string;
  target: BootTarget;
  /** `hung`: powered on, nothing runs; `ended`: what ran ended by itself and left the machine on. */
  result: 'running' | 'hung' | 'ended' | 'off';
  /** What a ramdisk or a virtual machine wrote to its console. */
  log: string | null;
  error: string | null;
}

interface PoweredOn {
  /** Null: powered on, and nothing could be run. */
  system: RunningSystem | null;
  record: BootRecord;
  /** A graceful restart was asked for: when the system has shut down, the machine boots again. */
  restart: boolean;
}

const BOOT_LOG_LENGTH = 100;

/** A server: power, a boot override, and hardware that runs something. Power actions take turns, as they do at a real BMC. */
export class SimulatedMachine {
  readonly id: string;
  readonly uuid: string;
  readonly config: MachineConfig;
  readonly directory: string;
  readonly bootOverride = new BootOverride();
  readonly virtualMedia = new VirtualMedia();
  faults: Faults;
  readonly bootLog: BootRecord[] = [];
  /** What it was asked for last. */
  lastReset: ResetType | null = null;
  readonly #hardware: MachineHardware;
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
    this.#log = options.log.child({ machine: config.id });
    this.#hardware = config.vm ? new VirtualHardware(this, config.vm) : new SimulatedHardware(this, options.agentCommand);
  }

  get powerState(): 'On' | 'Off' {
    return this.#powered ? 'On' : 'Off';
  }

  /** Null when nothing runs, and for a virtual machine, whose console alone tells. */
  get runningFrom(): 'disk' | 'ramdisk' | null {
    return this.#powered?.record.result === 'running' ? (this.#powered.system?.runsFrom ?? null) : null;
  }

  /** Types a line on the serial console. @throws ConflictError when nothing that has one is running. */
  typeLine(line: string): void {
    const system = this.#powered?.system;
    if (!system?.typeLine) throw new ConflictError(`${this.id} runs nothing with a serial console`);
    system.typeLine(line);
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
    this.lastReset = type;
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
    const target = this.bootOverride.takeForBoot(this.#hardware.firstTarget);
    const record: BootRecord = { at: new Date().toISOString(), target, result: 'running', log: null, error: null };
    const powered: PoweredOn = { system: null, record, restart: false };
    this.#boots += 1;
    this.bootLog.push(record);
    this.bootLog.splice(0, this.bootLog.length - BOOT_LOG_LENGTH);
    if (target !== 'Hdd' && this.faults.pxe_hangs) record.result = 'hung';
    else await this.#start(powered, target);
    this.#powered = powered; // whoever sees the machine on also sees what it runs
    if (powered.system) this.#follow(powered, powered.system);
  }

  async #start(powered: PoweredOn, target: BootTarget): Promise<void> {
    const { record } = powered;
    try {
      powered.system = await this.#hardware.start(target, this.#boots);
      record.log = powered.system.logPath;
    } catch (error) {
      // Like a kernel that does not come up: the machine is on, nothing runs, and its log says why.
      record.result = 'hung';
      record.error = messageOf(error);
      this.#log.error({ error: record.error }, 'nothing could be run');
    }
  }

  /** What runs may end by itself: it halts, switches the machine off, or resets it. */
  #follow(powered: PoweredOn, system: RunningSystem): void {
    const act = async (end: SystemEnd): Promise<void> => {
      if (end === 'halted') {
        if (powered.record.result === 'running') powered.record.result = 'ended';
        return;
      }
      await this.#turns.take(async () => {
        if (this.#powered !== powered) return; // it was switched off, which is what ended the system
        await this.#switchOff();
        if (powered.restart) await this.#powerOn();
        else if (end === 'reset') await this.#switchOn();
      });
    };
    void system.ended.then(act).catch((error: unknown) => this.#log.error({ error: messageOf(error) }, 'what followed the end of the system failed'));
  }

  async #switchOff(): Promise<void> {
    const powered = this.#powered;
    if (!powered) return;
    powered.record.result = 'off';
    try {
      await powered.system?.cutPower();
    } finally {
      this.#powered = null;
    }
  }

  /** What runs is asked to shut down; nothing runs, or it does not listen: the machine stays on. */
  #shutDown(restart: boolean): Promise<void> {
    const powered = this.#powered;
    if (!powered) return restart ? this.#turns.take(() => this.#powerOn()) : Promise.resolve();
    if (this.faults.ignore_graceful_shutdown || powered.record.result !== 'running') return Promise.resolve();
    powered.restart = restart;
    void powered.system?.shutDown().catch((error: unknown) => this.#log.error({ error: messageOf(error) }, 'shutting down failed'));
    return Promise.resolve();
  }
}
