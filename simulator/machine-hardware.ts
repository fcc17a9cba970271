import type { BootTarget } from './boot-override.ts';

/** How what a machine ran has ended. `halted`: the machine is still on, with nothing running on it. */
export type SystemEnd = 'halted' | 'off' | 'reset';

/** What a machine runs after one power-on or reset, until the next. */
export interface RunningSystem {
  /** Null: what boots from which device is the firmware's business, and its console shows it. */
  readonly runsFrom: 'disk' | 'ramdisk' | null;
  /** File of what it writes to its console; null when it has none. */
  readonly logPath: string | null;
  /** Resolves once it has ended, by itself or by `cutPower`; the first that counts is the cause. */
  readonly ended: Promise<SystemEnd>;
  /** Asks the operating system to shut down; `ended` tells whether and when it has. */
  shutDown(): Promise<void>;
  /** Ends everything at once and lets go of all that it used; after its own end, too. */
  cutPower(): Promise<void>;
  /** Types a line on its serial console; absent: it has none. */
  typeLine?(line: string): void;
}

/** What a machine is made of: simulated parts, or a virtual machine. */
export interface MachineHardware {
  /** What a boot without an override tries first. */
  readonly firstTarget: BootTarget;
  /**
   * Runs what the target leads to.
   * @param bootNumber counts the machine's boots, for its log's name
   * @throws MetalshotError when nothing could be run; nothing is left then.
   */
  start(target: BootTarget, bootNumber: number): Promise<RunningSystem>;
}
