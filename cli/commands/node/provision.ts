import type { JsonObject } from '../../../protocol/json.ts';
import type { OperationKind, Verb } from '../../../protocol/provision.ts';
import type { Arguments } from '../../arguments.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';
import { segment } from '../../api-client.ts';
import { stateOf } from '../../node-view.ts';
import { WAIT_OPTIONS, readWait, untilLeftBehind, untilSettled, type Verdict } from '../../wait.ts';
import { readDocument } from './documents.ts';
import { followProvision, requestProvision } from './provision-request.ts';

type ProvisionWord = 'manage' | 'provide' | 'adopt' | 'undeploy' | 'clean' | 'abort';

interface ProvisionVerb {
  word: ProvisionWord;
  target: Verb;
  summary: string;
  /** State that `--wait` waits for; none: until nothing is under way. */
  reaches?: string;
  /** What `--wait` waits for where that depends on the node as it is before the request. */
  goal?: (before: JsonObject) => { reaches: string | undefined; verdict: Verdict };
  kind?: OperationKind;
  options?: Readonly<Record<string, OptionSpec>>;
  body?: (args: Arguments) => Promise<JsonObject>;
  /** What the example needs besides the node. */
  exampleArguments?: string;
}

const VERBS: readonly ProvisionVerb[] = [
  { word: 'manage', target: 'manage', reaches: 'manageable', summary: 'Take a node under management: its power control is verified' },
  { word: 'provide', target: 'provide', reaches: 'available', kind: 'clean', summary: 'Make a manageable node available for deployment' },
  { word: 'adopt', target: 'adopt', reaches: 'active', summary: 'Take over a server that already runs, as it is' },
  { word: 'undeploy', target: 'deleted', reaches: 'available', kind: 'clean', summary: 'End the use of a node: it is switched off and cleaned' },
  {
    word: 'clean',
    target: 'clean',
    reaches: 'manageable',
    kind: 'clean',
    summary: 'Clean a manageable node by the given steps',
    options: { 'clean-steps': { kind: 'text', describe: 'Clean steps: a JSON list, a file that holds one, or - for standard input', required: true } },
    body: async (args) => ({ clean_steps: (await readDocument(args, 'clean-steps')) ?? [] }),
    exampleArguments: ` --clean-steps '[{"interface": "deploy", "step": "erase_devices_metadata"}]'`,
  },
  {
    word: 'abort',
    target: 'abort',
    goal: (before) => (stateOf(before) === 'snapshot failed' ? { reaches: 'active', verdict: untilLeftBehind } : { reaches: undefined, verdict: untilSettled }),
    summary: 'Abort a snapshot or a cleaning that is under way; or leave a failed snapshot behind',
  },
];

function provisionCommand(verb: ProvisionVerb): Command {
  const { word, target, summary, reaches, kind, goal, exampleArguments = '' } = verb;
  const end = reaches === undefined ? 'nothing is under way any more' : `it is ${reaches}`;
  return {
    words: `node ${word}`,
    summary,
    positionals: [NODE_POSITIONAL],
    options: { ...verb.options, ...WAIT_OPTIONS },
    examples: [[`node ${word} web-1${exampleArguments} --wait 600`, `Return when ${end}, or after 10 minutes`]],
    async run(context, args) {
      const ident = args.required('node');
      const wait = readWait(args);
      const body = { target, ...(await verb.body?.(args)) };
      const wanted = wait && goal ? goal(await context.api.getObject(`/v1/nodes/${segment(ident)}`)) : { reaches };
      const order = { ident, word, kind, wait, body, ...wanted };
      await requestProvision(context, order);
      await followProvision(context, order);
    },
  };
}

/** By the word behind `node`. */
export const provisionCommands = Object.fromEntries(VERBS.map((verb) => [verb.word, provisionCommand(verb)])) as Readonly<Record<ProvisionWord, Command>>;
