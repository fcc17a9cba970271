import { readFileSync } from 'node:fs';
import type { SimulatedMachine } from '../../simulator/machine.ts';
import { until } from './until.ts';

const SHOWN_LINES = 60;
/** Between two looks at a machine: looking takes time that its processor could have. */
export const LOOK_INTERVAL_MS = 500;
/** Machines without KVM are slow, and more so beside each other. */
export const STEP_TIMEOUT_MS = 240_000;

/** What a virtual machine writes to its serial port, boot by boot. */
export class SerialConsole {
  readonly #machine: SimulatedMachine;

  constructor(machine: SimulatedMachine) {
    this.#machine = machine;
  }

  /** How often the machine was powered on or reset so far. */
  get boots(): number {
    return this.#machine.bootLog.length;
  }

  /** What boot number `boot` (from 1 on) wrote, without control sequences; without a number the newest. */
  text(boot = this.boots): string {
    const log = this.#machine.bootLog[boot - 1]?.log;
    return log ? readFileSync(log, 'latin1').replaceAll(new RegExp(String.raw`\u001b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c])|\r`, 'g'), '') : '';
  }

  /**
   * Waits until a boot after the first `after` ones has written what matches.
   * @returns the number of that boot and the match. @throws Error with the end of the newest boot's log.
   */
  async until(wanted: string | RegExp, { after = 0, timeoutMs = STEP_TIMEOUT_MS }: { after?: number; timeoutMs?: number } = {}): Promise<{ boot: number; match: RegExpExecArray }> {
    const pattern = typeof wanted === 'string' ? new RegExp(wanted.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)) : wanted;
    return until(
      `the console of ${this.#machine.id} shows ${String(wanted)} in a boot after number ${after}`,
      () => {
        for (let boot = after + 1; boot <= this.boots; boot += 1) {
          const match = pattern.exec(this.text(boot));
          if (match) return { boot, match };
        }
        return null;
      },
      timeoutMs,
      () => this.describe(),
      LOOK_INTERVAL_MS,
    );
  }

  typeLine(line: string): void {
    this.#machine.typeLine(line);
  }

  /** For the message of a failed test: every boot, and the end of what each wrote. */
  describe(): string[] {
    return this.#machine.bootLog.flatMap(({ at, target, result, error }, index) => [
      `--- boot ${index + 1} at ${at}: ${target}, ${result}${error === null ? '' : `: ${error}`}`,
      ...this.text(index + 1).trimEnd().split('\n').slice(-SHOWN_LINES),
    ]);
  }
}
