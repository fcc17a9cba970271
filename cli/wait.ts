import type { JsonObject } from '../protocol/json.ts';
import { segment } from './api-client.ts';
import { UsageError, InterruptedError } from './exit-code.ts';
import { parseNumber, type Arguments } from './arguments.ts';
import type { CommandContext, OptionSpec } from './command.ts';
import { stateOf } from './snapshot-view.ts';
import { pause } from './pause.ts';

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

/**
 * Looks at the node until it is in state `target`. Failed: a failure state (ends in ` failed`, or is `error`), or
 * another state in which nothing is under way. The time limit also cuts a request that hangs.
 * @throws InterruptedError on Ctrl-C, CommandFailure when the node cannot be read any more.
 */
export async function waitForState({ api, signal }: CommandContext, ident: string, target: string, settings: WaitSettings, onLook?: (node: JsonObject) => void): Promise<WaitOutcome> {
  const startedAt = Date.now();
  const deadline = new AbortController();
  const timer = settings.timeoutMs > 0 ? setTimeout(() => deadline.abort(), settings.timeoutMs) : undefined;
  const either = AbortSignal.any([signal, deadline.signal]);
  let node: JsonObject | undefined;
  const outcome = (result: WaitOutcome['result']): WaitOutcome => ({ result, node, durationMs: Date.now() - startedAt });
  try {
    for (;;) {
      node = await api.getObject(`/v1/nodes/${segment(ident)}`, either);
      onLook?.(node);
      if (node.provision_state === target) return outcome('reached');
      if (isFailureState(stateOf(node)) || !node.target_provision_state) return outcome('failed');
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
