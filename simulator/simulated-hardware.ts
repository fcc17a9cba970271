import { setTimeout as pause } from 'node:timers/promises';
import type { BootTarget } from './boot-override.ts';
import type { MachineConfig } from './config.ts';
import type { MachineHardware, RunningSystem, SystemEnd } from './machine-hardware.ts';
import { readBootNonce } from './medium-boot.ts';
import { RamdiskBoot } from './ramdisk-boot.ts';
import type { VirtualMedia } from './virtual-media.ts';

interface Machine {
  config: MachineConfig;
  directory: string;
  virtualMedia: VirtualMedia;
}

/** A machine that boots in no time: nothing real runs from its disk, and a boot from elsewhere is the ramdisk agent itself. */
export class SimulatedHardware implements MachineHardware {
  readonly firstTarget = 'Hdd';
  readonly #machine: Machine;
  readonly #agentCommand: readonly string[];

  constructor(machine: Machine, agentCommand: readonly string[]) {
    this.#machine = machine;
    this.#agentCommand = agentCommand;
  }

  async start(target: BootTarget, bootNumber: number): Promise<RunningSystem> {
    const { config, directory, virtualMedia } = this.#machine;
    // an empty drive is passed over, as firmware does
    if (target === 'Hdd' || (target === 'Cd' && virtualMedia.image === null)) return new InstalledSystem(config.soft_off_ms);
    const bootNonce = target === 'Cd' ? await readBootNonce(await virtualMedia.fetch(directory), directory) : null;
    return RamdiskBoot.start(this.#machine, this.#agentCommand, bootNumber, bootNonce);
  }
}

/** The operating system on the disk, of which only this is seen: it takes its time to shut down. */
class InstalledSystem implements RunningSystem {
  readonly runsFrom = 'disk';
  readonly logPath = null;
  readonly ended: Promise<SystemEnd>;
  readonly #softOffMs: number;
  readonly #cut = new AbortController();
  #end: (end: SystemEnd) => void = () => undefined;

  constructor(softOffMs: number) {
    this.#softOffMs = softOffMs;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async shutDown(): Promise<void> {
    await pause(this.#softOffMs, undefined, { signal: this.#cut.signal }).catch(() => undefined); // switched off meanwhile
    this.#end('off');
  }

  async cutPower(): Promise<void> {
    this.#cut.abort();
    this.#end('off');
  }
}
