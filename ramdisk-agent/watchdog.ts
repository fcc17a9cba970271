import { closeSync, existsSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import { setWatchdogTimeout } from './watchdog-timeout.ts';

/** How often it is fed within its timeout. */
const FEEDINGS = 4;
/** Between feedings where the driver does not tell its timeout: shorter than what any driver begins with. */
const CAUTIOUS_PAUSE_MS = 2_000;
/** Any byte but `V`, which would switch it off ("magic close", Documentation/watchdog/watchdog-api). */
const FOOD = '.';

export interface WatchdogOptions {
  /** Wanted; drivers have limits of their own. 0: none. */
  timeoutS: number;
  log: Logger;
  devices?: string;
  /** /sys/class/watchdog (Documentation/ABI/testing/sysfs-class-watchdog). */
  sysfs?: string;
  /** /sys/module */
  modules?: string;
  setTimeout?: typeof setWatchdogTimeout;
}

interface Candidate {
  device: string;
  identity: string | null;
  isSoftware: boolean;
  /** Directory with a file `timeout`. */
  attributes: string;
}

/**
 * Resets the machine when the agent's event loop does not turn any more. It is never switched off: not when the agent dies,
 * because the next one opens it again, and not when it ends, because then the machine is on its way out of the ramdisk.
 */
export class Watchdog {
  readonly #file: number;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #abandonment: NodeJS.Timeout | undefined;

  private constructor(file: number, pauseMs: number, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#feed();
    this.#timer = setInterval(() => this.#feed(), pauseMs);
  }

  /** Hardware rather than the kernel's own. Null, with the reason as a warning, when there is none that can be opened. */
  static async open(options: WatchdogOptions): Promise<Watchdog | null> {
    const { timeoutS, log, devices = '/dev', sysfs = '/sys/class/watchdog', modules = '/sys/module', setTimeout: setTimeoutOf = setWatchdogTimeout } = options;
    if (timeoutS === 0) {
      log.warn('no watchdog: the configuration has switched it off, an agent that hangs keeps the machine in the ramdisk');
      return null;
    }
    const problems: string[] = [];
    for (const { device, identity, attributes } of listWatchdogs(devices, sysfs, modules)) {
      try {
        // before it is opened: it can be open once only
        await setTimeoutOf(device, timeoutS, () => readTimeout(attributes)).catch((error: unknown) => log.warn({ device, problem: messageOf(error) }, "the watchdog's timeout cannot be set, it keeps its own"));
        const file = openSync(device, 'w');
        const actualS = readTimeout(attributes);
        log.info({ device, identity, timeoutS: actualS }, 'watchdog is fed');
        return new Watchdog(file, actualS === null ? CAUTIOUS_PAUSE_MS : (actualS * 1_000) / FEEDINGS, log);
      } catch (error) {
        problems.push(messageOf(error));
      }
    }
    log.warn({ problem: problems.join('; ') || `nothing in ${sysfs}, and no ipmi_watchdog: no driver has been loaded` }, 'no watchdog: an agent that hangs keeps the machine in the ramdisk');
    return null;
  }

  /** Not fed any more after this time: the machine was to be gone by then. */
  abandonIn(milliseconds: number): void {
    this.#abandonment ??= setTimeout(() => clearInterval(this.#timer), milliseconds);
  }

  /** The device goes on counting: whoever ends an agent either starts another or boots the machine. */
  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#abandonment);
    closeSync(this.#file);
  }

  #feed(): void {
    try {
      writeSync(this.#file, FOOD);
    } catch (error) {
      this.#log.error({ problem: messageOf(error) }, 'the watchdog takes no food'); // the machine will be reset, and this is why
    }
  }
}

/** Hardware first, then by number. The driver of BMCs is not of the kernel's watchdog core: it has no place in its sysfs, and its own device. */
function listWatchdogs(devices: string, sysfs: string, modules: string): Candidate[] {
  const names = existsSync(sysfs) ? readdirSync(sysfs).filter((name) => /^watchdog\d+$/.test(name)) : [];
  const found = names
    .sort((left, right) => Number(left.slice('watchdog'.length)) - Number(right.slice('watchdog'.length)))
    .map((name): Candidate => {
      const identity = readText(join(sysfs, name, 'identity'));
      return { device: join(devices, name), identity, isSoftware: /software/i.test(identity ?? ''), attributes: join(sysfs, name) };
    });
  const ofBmc: Candidate = { device: join(devices, 'watchdog'), identity: 'ipmi_watchdog', isSoftware: false, attributes: join(modules, 'ipmi_watchdog/parameters') };
  return [...found.filter(({ isSoftware }) => !isSoftware), ...(existsSync(ofBmc.attributes) ? [ofBmc] : []), ...found.filter(({ isSoftware }) => isSoftware)];
}

function readTimeout(attributes: string): number | null {
  const timeoutS = Number(readText(join(attributes, 'timeout')) ?? NaN);
  return timeoutS > 0 ? timeoutS : null;
}

const readText = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8').trim() || null : null);
