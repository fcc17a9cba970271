import type { JsonObject } from '../../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION } from '../../../protocol/microversion.ts';
import type { Arguments } from '../../arguments.ts';
import { NODE_POSITIONAL, type Command, type OptionSpec } from '../../command.ts';
import { UsageError } from '../../exit-code.ts';
import { WAIT_OPTIONS, readWait } from '../../wait.ts';
import { readConfigDrive, readDocument } from './documents.ts';
import { imageOptions, readImageChoice, withImageStored, type ImageChoice } from './image-choice.ts';
import { planIn, printPlan } from './plan-report.ts';
import { followProvision, requestProvision } from './provision-request.ts';

interface Writing {
  word: 'deploy' | 'rebuild' | 'restore';
  verb: 'deploy' | 'rebuild';
  /** What the stock client sends where nothing newer is asked for. */
  stockTarget: 'active' | 'rebuild';
  summary: string;
  needsImage: boolean;
  examples: Command['examples'];
}

const DRIVE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'config-drive': { kind: 'text', describe: 'Config drive: a JSON object, the gzipped and base64-encoded drive, or a file with either' },
  'deploy-steps': { kind: 'text', describe: 'Deploy steps: a JSON list, a file that holds one, or - for standard input' },
};
const GENERALIZE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  generalize: { kind: 'flag', describe: 'Make the copy a machine of its own: machine-id, host name, SSH host keys, disk identifiers where safe' },
  hostname: { kind: 'text', describe: "Host name of the copy, with --generalize (default: the node's name)" },
};
const PLAN_OPTION: Readonly<Record<string, OptionSpec>> = { plan: { kind: 'flag', describe: 'Print what would happen and what speaks against it; touch nothing' } };

function generalizeOf(args: Arguments): JsonObject {
  const hostname = args.text('hostname');
  if (!args.flag('generalize')) {
    if (hostname !== undefined) throw new UsageError('--hostname goes with --generalize');
    return {};
  }
  return { generalize: hostname === undefined ? true : { hostname } };
}

/** What goes with the verb besides the image. */
async function extrasOf(args: Arguments, isRestore: boolean): Promise<JsonObject> {
  if (isRestore) return {};
  const drive = await readConfigDrive(args);
  const steps = await readDocument(args, 'deploy-steps');
  return { ...generalizeOf(args), ...(drive === undefined ? {} : { configdrive: drive }), ...(steps === undefined ? {} : { deploy_steps: steps }) };
}

function orderOf({ word, verb, stockTarget }: Writing, ident: string, choice: ImageChoice | undefined, extras: JsonObject, plans: boolean) {
  const isOurs = choice?.kind === 'ref' || plans || 'generalize' in extras;
  const body = { target: isOurs ? verb : stockTarget, ...(choice?.kind === 'ref' ? { image_ref: choice.imageRef } : {}), ...extras, ...(plans ? { dry_run: true } : {}) };
  const feature = plans ? 'a plan' : `a ${word} with ${choice?.kind === 'ref' ? '--image' : '--generalize'}`;
  return { ident, word, body, needs: isOurs ? { minor: SNAPSHOT_MICROVERSION, feature } : undefined };
}

function writingCommand(writing: Writing): Command {
  const { word, verb, summary, needsImage, examples } = writing;
  const isRestore = word === 'restore';
  return {
    words: `node ${word}`,
    summary,
    positionals: [NODE_POSITIONAL],
    options: { ...imageOptions(needsImage), ...(isRestore ? {} : { ...GENERALIZE_OPTIONS, ...DRIVE_OPTIONS }), ...PLAN_OPTION, ...WAIT_OPTIONS },
    conflicts: [['plan', 'wait']],
    examples,
    async run(context, args) {
      const ident = args.required('node');
      const wait = readWait(args);
      const plans = args.flag('plan') === true;
      const extras = await extrasOf(args, isRestore);
      const choice = await readImageChoice(context, args);
      if (plans && choice?.kind === 'url') throw new UsageError('--plan touches nothing, and a URL must be stored in the node first: give its image_source and digest by "node set --instance-info", then --plan without --image');
      const order = orderOf(writing, ident, choice, extras, plans);
      if (plans) return printPlan(context.output, planIn(await requestProvision(context, order), ident), ident, word);
      if (choice?.kind === 'url') await withImageStored(context, ident, choice.info, () => requestProvision(context, order));
      else await requestProvision(context, order);
      await followProvision(context, { ...order, reaches: 'active', kind: verb, wait });
    },
  };
}

const WRITINGS: readonly Writing[] = [
  {
    word: 'deploy',
    verb: 'deploy',
    stockTarget: 'active',
    summary: 'Deploy an available node: an image is written to its disk and booted',
    needsImage: false,
    examples: [
      ['node deploy web-2 --image web-1-today --generalize --hostname web-2 --wait', 'A copy of another server, with progress'],
      ['node deploy web-2 --image web-1-today --plan', 'Would it fit?'],
      ['node deploy web-2 --wait 3600', 'What instance_info says, for at most an hour'],
    ],
  },
  {
    word: 'rebuild',
    verb: 'rebuild',
    stockTarget: 'rebuild',
    summary: 'Deploy an active node again',
    needsImage: false,
    examples: [['node rebuild web-1 --image golden --wait', 'With another image']],
  },
  {
    word: 'restore',
    verb: 'rebuild',
    stockTarget: 'rebuild',
    summary: 'Put a snapshot back onto the server: what is on its disk now is lost',
    needsImage: true,
    examples: [
      ['node restore web-1 --image web-1-today --wait', 'As it was when the snapshot was taken'],
      ['node restore web-1 --image web-1-today --plan -f json', 'What would happen, for a script'],
    ],
  },
];

/** By the word behind `node`. */
export const writingCommands = Object.fromEntries(WRITINGS.map((writing) => [writing.word, writingCommand(writing)])) as Readonly<Record<Writing['word'], Command>>;
