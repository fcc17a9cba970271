import type { JsonObject } from '../protocol/json.ts';
import { segment } from './api-client.ts';
import { UsageError, InterruptedError } from './exit-code.ts';
import { parseNumber, type Arguments } from './arguments.ts';
import type { CommandContext, OptionSpec } from './command.ts';
import { pause } from './pause.ts';
import type { PowerState } from '../protocol/provision.ts';
import { snapshotViewOf, stateOf } from './node-view.ts';

export interface WaitSettings {
  /** 0: no limit. */
  timeoutMs: number;
  pollMs: number;
}

export interface WaitOutcome {
  result: 'reached' | 'failed' | 'timeout';
  /** The node as last seen; undefined when the time was over before the first look. */
  node: JsonObject | undefined;
  durationMs: number;
}

export const WAIT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  wait: { kind: 'optional', describe: 'Wait for the end of the operation, at most so many seconds (without a number, or 0: no limit)' },
  'poll-interval': { kind: 'text', describe: 'Seconds between two looks at the node while waiting (default 1)' },
};

/** What `--wait [SECONDS]` and `--poll-interval` ask for; undefined without `--wait`. */
export function readWait(args: Arguments): WaitSettings | undefined {
  const seconds = args.text('wait');
  const pollSeconds = args.number('poll-interval', 0.01) ?? 1;
  if (seconds === undefined && args.text('poll-interval') !== undefined) throw new UsageError('--poll-interval has a meaning only with --wait');
  if (seconds === undefined) return undefined;
  return { timeoutMs: seconds === '' ? 0 : parseNumber(seconds, '--wait', 0) * 1000, pollMs: pollSeconds * 1000 };
}

/** What a look at the node says of the operation that is waited for; undefined: it goes on. */
export type Verdict = (node: JsonObject) => 'reached' | 'failed' | undefined;

/** Until the node is in state `target`. Failed: a failure state (ends in ` failed`, or is `error`), or another state in which nothing is under way. */
export const untilState =
  (target: string): Verdict =>
  (node) =>
    node.provision_state === target ? 'reached' : isFailureState(stateOf(node)) || !node.target_provision_state ? 'failed' : undefined;

/** Until nothing is under way any more: neither an operation nor the way back of a server to its own disk, which is tried again after a failure. */
export const untilSettled: Verdict = (node) => {
  if (stateOf(node) === 'error') return 'failed';
  const isOnItsWayBack = ['pending', 'failed'].includes(snapshotViewOf(node)?.boot_back ?? '');
  const isUnderWay = (!isFailureState(stateOf(node)) && Boolean(node.target_provision_state)) || Boolean(node.reservation) || isOnItsWayBack;
  return isUnderWay ? undefined : 'reached';
};

/** Until a failed snapshot is left behind: nothing is under way, and the node is active. */
export const untilLeftBehind: Verdict = (node) => (untilSettled(node) === 'reached' && stateOf(node) !== 'active' ? 'failed' : untilSettled(node));

/** Until no change of the power is under way. Failed: it is not as wanted, or is so only because it never changed: a request clears `last_error`, its failure sets it. */
export const untilPower =
  (wanted: PowerState): Verdict =>
  (node) =>
    node.target_power_state ? undefined : node.power_state === wanted && !node.last_error ? 'reached' : 'failed';

/**
 * Looks at the node until there is a verdict. The time limit also cuts a request that hangs.
 * @throws InterruptedError on Ctrl-C, CommandFailure when the node cannot be read any more.
 */
export async function waitFor({ api, signal }: CommandContext, ident: string, verdict: Verdict, settings: WaitSettings, onLook?: (node: JsonObject) => void): Promise<WaitOutcome> {
  const startedAt = Date.now();
  const deadline = new AbortController();
  const timer = settings.timeoutMs > 0 ? setTimeout(() => deadline.abort(), settings.timeoutMs) : undefined;
  const either = AbortSignal.any([signal, deadline.signal]);
  let node: JsonObject | undefined;
  const outcome = (result: WaitOutcome['result']): WaitOutcome => ({ result, node, durationMs: Date.now() - startedAt });
  try {
    for (;;) {
      node = await api.getObject(`/v1/nodes/${segment(ident)}`, { signal: either });
      onLook?.(node);
      const result = verdict(node);
      if (result !== undefined) return outcome(result);
      await pause(settings.pollMs, either);
    }
  } catch (error) {
    if (error instanceof InterruptedError && deadline.signal.aborted && !signal.aborted) return outcome('timeout');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const isFailureState = (state: string): boolean => state === 'error' || state.endsWith(' failed');
