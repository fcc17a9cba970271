import { readFile } from 'node:fs/promises';
import type { Json, JsonObject } from '../../../protocol/json.ts';
import { messageOf } from '../../../protocol/errors.ts';
import type { Verb } from '../../../protocol/provision.ts';
import { segment } from '../../api-client.ts';
import type { Arguments } from '../../arguments.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { parseJsonArgument } from '../../key-value.ts';
import { WAIT_OPTIONS, readWait, waitForState } from '../../wait.ts';
import { failureOfWait, goesOn, nodeFacts } from './wait-report.ts';

interface ProvisionVerb {
  word: string;
  target: Verb;
  summary: string;
  /** State that `--wait` waits for; without one there is no `--wait`. */
  reaches?: string;
  options?: Readonly<Record<string, OptionSpec>>;
  body?: (args: Arguments) => Promise<JsonObject>;
  /** What the example needs besides the node. */
  exampleArguments?: string;
}

/** JSON itself, or the name of a file that holds it. */
async function jsonOrFile(args: Arguments, option: string): Promise<Json | undefined> {
  const text = args.text(option);
  if (text === undefined) return undefined;
  return parseJsonArgument(/^\s*[[{]/.test(text) ? text : await readText(text, option), option);
}

async function readText(path: string, option: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--${option}: cannot read the file: ${messageOf(error)}`);
  }
}

const DEPLOY_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'config-drive': { kind: 'text', describe: 'Config drive: a JSON object, or a file with the gzipped and base64-encoded drive' },
  'deploy-steps': { kind: 'text', describe: 'Deploy steps: a JSON list, or a file that holds one' },
};

async function deployBody(args: Arguments): Promise<JsonObject> {
  const drive = args.text('config-drive');
  const steps = await jsonOrFile(args, 'deploy-steps');
  return {
    ...(drive === undefined ? {} : { configdrive: /^\s*\{/.test(drive) ? parseJsonArgument(drive, 'config-drive') : await readText(drive, 'config-drive') }),
    ...(steps === undefined ? {} : { deploy_steps: steps }),
  };
}

const VERBS: readonly ProvisionVerb[] = [
  { word: 'manage', target: 'manage', reaches: 'manageable', summary: 'Take a node under management: its power control is verified' },
  { word: 'provide', target: 'provide', reaches: 'available', summary: 'Make a manageable node available for deployment' },
  { word: 'adopt', target: 'adopt', reaches: 'active', summary: 'Take over a server that already runs, as it is' },
  { word: 'deploy', target: 'active', reaches: 'active', summary: 'Deploy an available node', options: DEPLOY_OPTIONS, body: deployBody },
  { word: 'rebuild', target: 'rebuild', reaches: 'active', summary: 'Deploy an active node again, for example from a snapshot', options: DEPLOY_OPTIONS, body: deployBody },
  { word: 'undeploy', target: 'deleted', reaches: 'available', summary: 'End the use of a node' },
  {
    word: 'clean',
    target: 'clean',
    reaches: 'manageable',
    summary: 'Clean a manageable node by the given steps',
    options: { 'clean-steps': { kind: 'text', describe: 'Clean steps: a JSON list, or a file that holds one', required: true } },
    body: async (args) => ({ clean_steps: (await jsonOrFile(args, 'clean-steps')) ?? [] }),
    exampleArguments: ` --clean-steps '[{"interface": "deploy", "step": "erase_devices"}]'`,
  },
  { word: 'abort', target: 'abort', summary: 'Abort what is under way, such as a snapshot; or leave a failed snapshot behind' },
];

function provisionCommand(verb: ProvisionVerb): Command {
  const { word, target, summary, reaches, exampleArguments = '' } = verb;
  return {
    words: `node ${word}`,
    summary,
    positionals: [NODE_POSITIONAL],
    options: { ...verb.options, ...(reaches === undefined ? {} : WAIT_OPTIONS) },
    examples: reaches === undefined ? [[`node ${word} web-1`, 'Returns once the request is accepted']] : [[`node ${word} web-1${exampleArguments} --wait 600`, `Return when it is ${reaches}, or after 10 minutes`]],
    async run(context, args) {
      const { api, output } = context;
      const ident = args.required('node');
      const wait = readWait(args);
      const body = { target, ...(await verb.body?.(args)) };
      await api.request('PUT', `/v1/nodes/${segment(ident)}/states/provision`, { body });
      if (wait === undefined || reaches === undefined) {
        if (output.isJson) output.json({ node: ident, target, accepted: true });
        return;
      }
      output.say(`waiting for node ${ident} to become ${reaches}`);
      const outcome = await goesOn(ident, word, () => waitForState(context, ident, reaches, wait));
      if (output.isJson) output.json({ node: ident, target, ...nodeFacts(outcome) });
      if (outcome.result !== 'reached') throw failureOfWait(outcome, ident, reaches, word);
      output.say(`node ${ident} is ${reaches}`);
    },
  };
}

export const provisionCommands: readonly Command[] = VERBS.map(provisionCommand);
