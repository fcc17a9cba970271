import { setTimeout as sleep } from 'node:timers/promises';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { DriverTask } from './interfaces.ts';
import { readIpmiAccess, type IpmiAccess } from './ipmi-access.ts';
import { IpmiError } from './ipmi-failure.ts';
import { bmcName, runIpmitool } from './ipmitool-command.ts';
import { RequestQueue } from './request-queue.ts';

/** Deadlines and pauses, in milliseconds. */
export interface IpmiOptions {
  /** From the first failure of a command: for so long it is tried again. */
  commandRetryTimeoutMs: number;
  /** From the end of one command to a BMC to the beginning of the next. */
  minCommandIntervalMs: number;
  /** For one run of ipmitool. */
  commandTimeoutMs: number;
  /** Pause before the second try; doubled for each further one, up to the maximum. */
  retryPauseMs: number;
  maxRetryPauseMs: number;
  /** Pause between two looks at the power state, growing from the first to the maximum. */
  firstPollMs: number;
  maxPollMs: number;
  /** The ipmitool to run. */
  program: string;
}

export const IPMI_DEFAULTS: IpmiOptions = { commandRetryTimeoutMs: 60_000, minCommandIntervalMs: 100, commandTimeoutMs: 30_000, retryPauseMs: 500, maxRetryPauseMs: 10_000, firstPollMs: 250, maxPollMs: 2_000, program: 'ipmitool' };

/** Tried in this order unless the node says which: 17 (SHA-256) is what should be used, 3 (SHA-1) what every BMC has. */
const CIPHER_SUITES: readonly number[] = [17, 3];

/** One BMC, for the length of a driver's operation. */
export interface IpmiBmc {
  /** Address and port. */
  readonly name: string;
  readonly access: IpmiAccess;
  readonly options: IpmiOptions;
  /**
   * Runs a command of ipmitool when it is its turn, again after passing failures.
   * @param expected what ipmitool writes when it is done, where its exit code does not tell.
   * @returns what ipmitool wrote. @throws IpmiError; OperationFailedError when ipmitool cannot be run or `signal` stops it.
   */
  run(args: readonly string[], signal: AbortSignal, expected?: RegExp): Promise<string>;
}

export interface IpmiBmcs {
  /** The BMC that the node's driver_info names; nothing is sent yet. @throws InvalidParameterError */
  of(task: DriverTask): IpmiBmc;
}

/** What is remembered of a BMC, whoever logs in. */
interface Turnstile {
  queue: RequestQueue;
  lastEndedAt: number;
  /** The cipher suite that it last took. */
  cipherSuite: number | null;
}

/** All BMCs that this process speaks to by IPMI: one command at a time to each. They are few and small, and stay. */
export function createIpmiBmcs(options: Partial<IpmiOptions> = {}): IpmiBmcs {
  const settings = { ...IPMI_DEFAULTS, ...options };
  const turnstiles = new Map<string, Turnstile>();
  return {
    of({ node }) {
      const access = readIpmiAccess(node.driverInfo);
      const name = bmcName(access);
      const turnstile = turnstiles.get(name) ?? { queue: new RequestQueue(), lastEndedAt: -Infinity, cipherSuite: null };
      turnstiles.set(name, turnstile);
      return { name, access, options: settings, run: (args, signal, expected) => runPatiently({ access, turnstile, options: settings, args, expected, signal }) };
    },
  };
}

interface Run {
  access: IpmiAccess;
  turnstile: Turnstile;
  options: IpmiOptions;
  args: readonly string[];
  expected: RegExp | undefined;
  signal: AbortSignal;
}

async function runPatiently(run: Run): Promise<string> {
  const { access, turnstile, options, signal } = run;
  let giveUpAt: number | null = null;
  for (let tries = 1; ; tries += 1) {
    try {
      return await turnstile.queue.run(() => runWithSuite(run), signal);
    } catch (error) {
      if (!(error instanceof IpmiError) || !error.failure.passing) throw error;
      const pauseMs = Math.min(options.retryPauseMs * 2 ** (tries - 1), options.maxRetryPauseMs);
      giveUpAt ??= Date.now() + options.commandRetryTimeoutMs;
      if (Date.now() + pauseMs >= giveUpAt) throw tries === 1 ? error : new IpmiError(`${error.message} (tried ${tries} times)`, error.reason);
      await pause(pauseMs, bmcName(access), signal);
    }
  }
}

async function runWithSuite(run: Run): Promise<string> {
  const { access, turnstile } = run;
  const known = turnstile.cipherSuite;
  const suites = access.cipherSuite !== null ? [access.cipherSuite] : known === null ? CIPHER_SUITES : [known, ...CIPHER_SUITES.filter((suite) => suite !== known)];
  for (const [index, suite] of suites.entries()) {
    try {
      const output = await runOnce(run, suite);
      if (access.cipherSuite === null) turnstile.cipherSuite = suite;
      return output;
    } catch (error) {
      const mayTakeAnother = error instanceof IpmiError && (error.reason === 'cipher suite' || (error.reason === 'unanswered' && known === null));
      if (!mayTakeAnother || index === suites.length - 1) throw error;
    }
  }
  throw new OperationFailedError(`BMC ${bmcName(access)}: there is no cipher suite to try`); // the list is never empty
}

async function runOnce({ access, turnstile, options, args, expected, signal }: Run, cipherSuite: number): Promise<string> {
  await pause(turnstile.lastEndedAt + options.minCommandIntervalMs - Date.now(), bmcName(access), signal);
  try {
    return await runIpmitool({ access, cipherSuite, args, expected, program: options.program, timeoutMs: options.commandTimeoutMs, signal });
  } finally {
    turnstile.lastEndedAt = Date.now();
  }
}

/** Not at all for a time that is over. @throws OperationFailedError when `signal` ends the pause. */
export async function pause(durationMs: number, name: string, signal: AbortSignal): Promise<void> {
  if (durationMs <= 0) return;
  try {
    await sleep(durationMs, undefined, { signal });
  } catch {
    throw new OperationFailedError(`The operation on BMC ${name} was stopped`, {}, signal.reason); // a pause can only end early by its signal
  }
}
