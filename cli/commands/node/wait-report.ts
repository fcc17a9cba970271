import type { JsonObject } from '../../../protocol/json.ts';
import type { PowerState } from '../../../protocol/provision.ts';
import { CommandFailure, EXIT, InterruptedError } from '../../exit-code.ts';
import { formatDuration } from '../../quantities.ts';
import { joinSentences } from '../../sentences.ts';
import { describeProgress, stateOf, underWayOf } from '../../node-view.ts';
import type { WaitOutcome } from '../../wait.ts';

const advice = (ident: string): string => `see "baremetal node show ${ident}"`;
const stoppable = (word: string, ident: string): string => (word === 'snapshot' ? `, stop it with "baremetal node abort ${ident}"` : '');

/** What a waiting command reports of the node in JSON, however the waiting ended. */
export function nodeFacts({ node, durationMs }: WaitOutcome): JsonObject {
  return {
    node_uuid: node?.uuid ?? null,
    provision_state: node?.provision_state ?? null,
    target_provision_state: node?.target_provision_state ?? null,
    last_error: node?.last_error ?? null,
    waited_s: durationMs / 1000,
  };
}

/** The failure for a wait that did not reach its state: 7 when the time was over, else 1 with the node's `last_error`. */
export function failureOfWait(outcome: WaitOutcome, ident: string, target: string, word: string): CommandFailure {
  const { result, node, durationMs } = outcome;
  const state = stateOf(node);
  if (result === 'timeout') {
    const view = node && underWayOf(node);
    const where = view ? ` (${describeProgress(view)})` : '';
    return new CommandFailure(EXIT.waitTimeout, `node ${ident} is not ${target} after ${formatDuration(durationMs / 1000)}: it is "${state}"${where}. The ${word} goes on: ${advice(ident)}${stoppable(word, ident)}`);
  }
  return new CommandFailure(EXIT.operationFailed, `the ${word} of node ${ident} failed: it is "${state}" instead of "${target}"${reasonOf(outcome, ident)}`);
}

/** The same for a wait for a power state. */
export function failureOfPowerWait(outcome: WaitOutcome, ident: string, target: PowerState, word: string): CommandFailure {
  const { result, node, durationMs } = outcome;
  const found = typeof node?.power_state === 'string' ? `"${node.power_state}"` : 'not known';
  if (result === 'timeout') {
    return new CommandFailure(EXIT.waitTimeout, `the ${word} of node ${ident} is not done after ${formatDuration(durationMs / 1000)}: its power state is ${found}. The ${word} goes on: ${advice(ident)}`);
  }
  const instead = node?.power_state === target ? '' : ` instead of "${target}"`;
  return new CommandFailure(EXIT.operationFailed, `the ${word} of node ${ident} failed: its power state is ${found}${instead}${reasonOf(outcome, ident)}`);
}

const reasonOf = ({ node }: WaitOutcome, ident: string): string =>
  typeof node?.last_error === 'string' && node.last_error !== '' ? `: ${node.last_error}` : `, and the service recorded no reason; ${advice(ident)}`;

/** Runs the waiting; whatever ends it early, the message says that the operation itself goes on. */
export async function goesOn<T>(ident: string, word: string, waiting: () => Promise<T>): Promise<T> {
  const hint = `The ${word} of node ${ident} goes on: ${advice(ident)}${stoppable(word, ident)}`;
  try {
    return await waiting();
  } catch (error) {
    if (error instanceof InterruptedError) throw new InterruptedError(`interrupted. ${hint}`);
    if (error instanceof CommandFailure && error.exitCode === EXIT.unavailable) throw new CommandFailure(error.exitCode, joinSentences(error.message, hint), error);
    throw error;
  }
}
