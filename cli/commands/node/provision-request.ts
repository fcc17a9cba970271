import type { JsonObject } from '../../../protocol/json.ts';
import type { OperationKind, OperationView } from '../../../protocol/provision.ts';
import { segment, type ApiRequest } from '../../api-client.ts';
import { isObject } from '../../api-error.ts';
import type { CommandContext } from '../../command.ts';
import { CommandFailure } from '../../exit-code.ts';
import { describeDamage, operationFacts, operationViewOf, stateOf } from '../../node-view.ts';
import { openProgressDisplay } from '../../progress.ts';
import { formatDuration } from '../../quantities.ts';
import { joinSentences } from '../../sentences.ts';
import { untilState, waitFor, type Verdict, type WaitOutcome, type WaitSettings } from '../../wait.ts';
import { failureOfWait, goesOn, nodeFacts } from './wait-report.ts';

/** A provision verb that is to be asked for and, with `wait`, waited for. */
export interface ProvisionOrder {
  ident: string;
  /** As the person calls it: `restore`. */
  word: string;
  body: JsonObject & { target: string };
  needs?: ApiRequest['needs'];
  /** State at its end; without one any in which nothing is under way. */
  reaches: string | undefined;
  /** Kind of the operation by which the ramdisk does it. */
  kind?: OperationKind;
  verdict?: Verdict;
  wait: WaitSettings | undefined;
}

export const requestProvision = ({ api }: CommandContext, { ident, body, needs }: Pick<ProvisionOrder, 'ident' | 'body' | 'needs'>): Promise<unknown> =>
  api.request('PUT', `/v1/nodes/${segment(ident)}/states/provision`, { body, needs });

/** What follows an accepted request: nothing more, or the waiting with its progress and its end. */
export async function followProvision(context: CommandContext, order: ProvisionOrder): Promise<void> {
  const { output } = context;
  const { ident, word, body, reaches, wait } = order;
  if (wait === undefined) {
    if (output.isJson) output.json({ node: ident, target: body.target, accepted: true });
    return;
  }
  const goal = reaches ?? 'at rest';
  output.say(`waiting for node ${ident} to ${reaches === undefined ? 'come to rest' : `become ${reaches}`}`);
  const outcome = await watch(context, order, wait);
  const view = viewOfThis(outcome.node, order);
  if (output.isJson) output.json({ node: ident, target: body.target, ...nodeFacts(outcome), ...(view ? { operation: view } : {}) });
  if (outcome.result !== 'reached') throw failureOf(outcome, ident, goal, word, view);
  output.say(sentenceOf(outcome, ident, word, view));
}

async function watch(context: CommandContext, { ident, word, reaches, verdict }: ProvisionOrder, wait: WaitSettings): Promise<WaitOutcome> {
  const display = openProgressDisplay(context.output, `${word} of ${ident}`);
  try {
    return await goesOn(ident, word, () => waitFor(context, ident, verdict ?? untilState(reaches ?? ''), wait, (node) => display.show(node)));
  } finally {
    display.close();
  }
}

/** The operation when it is about what was asked for; an earlier one of the same node is none of our business. */
function viewOfThis(node: JsonObject | undefined, { kind, body }: ProvisionOrder): OperationView | undefined {
  const view = node && operationViewOf(node);
  if (view === undefined || view.kind !== kind) return undefined;
  return typeof body.image_ref === 'string' && view.image_source?.toLowerCase() !== body.image_ref.toLowerCase() ? undefined : view;
}

function failureOf(outcome: WaitOutcome, ident: string, goal: string, word: string, view: OperationView | undefined): CommandFailure {
  const failure = failureOfWait(outcome, ident, goal, word);
  if (outcome.result === 'timeout' || view?.status !== 'failed') return failure;
  const damage = describeDamage(view);
  return new CommandFailure(failure.exitCode, joinSentences(failure.message, `${damage[0]?.toUpperCase()}${damage.slice(1)}`));
}

function sentenceOf({ node, durationMs }: WaitOutcome, ident: string, word: string, view: OperationView | undefined): string {
  const state = `node ${ident} is ${stateOf(node)}`;
  if (view?.status !== 'done') return state;
  return [...generalizedLines(view), `${word} of ${ident} done in ${formatDuration(view.duration_s ?? durationMs / 1000)}: ${[state, ...operationFacts(view)].join(', ')}`].join('\n');
}

/** What was changed to make the copy a machine of its own, a line each. */
function generalizedLines({ report }: OperationView): string[] {
  const items: unknown = report?.generalized;
  return (Array.isArray(items) ? items : []).filter(isObject).map(({ item, where, outcome, note }) => `${String(outcome)} ${String(item)} (${String(where)})${typeof note === 'string' && note !== '' ? `: ${note}` : ''}`);
}
