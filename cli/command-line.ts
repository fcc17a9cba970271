import yargs, { type Argv, type Options } from 'yargs';
import { Arguments } from './arguments.ts';
import type { Command, OptionSpec } from './command.ts';
import { COMMANDS, GROUP_SUMMARIES } from './commands/catalogue.ts';
import { EXIT, EXIT_CODE_MEANINGS, UsageError } from './exit-code.ts';
import { GLOBAL_OPTIONS, KEYSTONE_OPTIONS } from './global-options.ts';
import { describeCommands } from './overview.ts';
import { PROGRAM, explainParseFailure, placeholder, usageOf } from './parse-failure.ts';
import { VERSION } from './version.ts';
import { scanWords } from './word-scan.ts';

const EXIT_CODE_LIST = ['Exit codes:', ...Object.entries(EXIT_CODE_MEANINGS).map(([name, meaning]) => `  ${String(EXIT[name as keyof typeof EXIT]).padStart(3)}  ${meaning}`)].join('\n');

/** Stands for the list of commands: yargs would take the indentation away. */
const OVERVIEW_MARK = '{commands}';

/** A command to run with its arguments, or text that was asked for (help, version, completion script). */
export type Parsed = { command: Command; args: Arguments } | { text: string };

/**
 * Understands a command line; reads nothing else and prints nothing.
 * @param argv what stands behind the program's name. @param columns width of the help.
 * @throws UsageError with what is wrong and which help to read.
 */
export function parseCommandLine(argv: readonly string[], columns: number): Parsed {
  let matched: { command: Command; args: Arguments } | undefined;
  let failure: string | undefined;
  let printed = '';
  const width = Math.min(Math.max(columns, 60), 120);
  const isAboutAll = scanWords(argv).path === '';
  const globalOptions = Object.entries(GLOBAL_OPTIONS).map(([name, spec]) => {
    const isKeystones = name in KEYSTONE_OPTIONS;
    return [name, { ...yargsOption(spec), global: true, ...(isKeystones ? { group: 'Keystone:', hidden: !isAboutAll } : {}) }];
  });
  const parser = yargs([])
    .scriptName(PROGRAM)
    .locale('en')
    .parserConfiguration({ 'dot-notation': false, 'short-option-groups': false, 'camel-case-expansion': false, 'parse-numbers': false, 'parse-positional-numbers': false })
    .usage(`usage: $0 <command> [options]\n\nBare Metal service client: servers, their snapshots, and images.\n\n${OVERVIEW_MARK}\n\n"$0 <command> --help" describes a command, with examples.`)
    .strict()
    .alias('help', 'h')
    .version(VERSION)
    .wrap(width)
    .showHidden(false)
    .updateStrings({ 'Options:': 'Global options:' })
    .epilogue(EXIT_CODE_LIST)
    .options(Object.fromEntries(globalOptions) as Record<string, Options>);
  addCommands(parser, COMMANDS, [], (command, values) => (matched = { command, args: new Arguments(values) }));
  void parser.parse(separateValues(argv), {}, (error: Error | undefined, _argv: unknown, output: string) => {
    failure = error?.message;
    printed = output;
  });
  if (failure !== undefined) throw new UsageError(explainParseFailure(separateValues(argv), failure));
  if (matched && printed === '') return matched;
  return { text: printed.replace(OVERVIEW_MARK, () => describeCommands(width)) };
}

/** Registers commands level by level: `node`, below it `node power`, below it `node power on`. */
function addCommands(parser: Argv, commands: readonly Command[], prefix: readonly string[], onMatch: (command: Command, values: Record<string, unknown>) => void): void {
  const depth = prefix.length;
  for (const word of new Set(commands.map((command) => command.words.split(' ')[depth] ?? ''))) {
    const below = commands.filter((command) => command.words.split(' ')[depth] === word);
    const leaf = below.find((command) => command.words.split(' ').length === depth + 1);
    const words = [...prefix, word];
    const describe = depth > 0 && (leaf?.summary ?? GROUP_SUMMARIES[words.join(' ')] ?? ''); // false: the overview has it
    if (leaf) {
      const signature = [word, ...(leaf.positionals ?? []).map(placeholder)].join(' ');
      parser.command({ command: signature, describe, builder: (own) => addArguments(own, leaf), handler: (values) => onMatch(leaf, values) });
    } else {
      const addBelow = (own: Argv): Argv => {
        addCommands(own.usage(`usage: $0 ${words.join(' ')} <command> [options]`), below, words, onMatch);
        return own.demandCommand(1);
      };
      parser.command({ command: word, describe, builder: addBelow, handler: () => undefined });
    }
  }
  if (depth === 0) parser.demandCommand(1);
}

function addArguments(parser: Argv, command: Command): Argv {
  parser.usage(`usage: ${usageOf(command)}\n\n${command.summary}`);
  for (const { name, describe, choices } of command.positionals ?? []) parser.positional(name, { type: 'string', describe, ...(choices === undefined ? {} : { choices }) });
  for (const [name, spec] of Object.entries(command.options ?? {})) parser.option(name, { ...yargsOption(spec), group: 'Options:' });
  for (const [one, other] of command.conflicts ?? []) parser.conflicts(one, other);
  for (const [line, meaning] of command.examples) parser.example(`$0 ${line}`, meaning);
  return parser.epilogue(EXIT_CODE_LIST);
}

function yargsOption({ kind, describe, alias, choices, required }: OptionSpec): Options {
  return {
    describe,
    ...(alias === undefined ? {} : { alias }),
    ...(choices === undefined ? {} : { choices }),
    ...(required ? { demandOption: true } : {}),
    ...(kind === 'flag' ? { type: 'boolean' as const } : { type: 'string' as const }),
    ...(kind === 'text' ? { requiresArg: true } : {}),
    ...(kind === 'words' ? { array: true } : {}),
    ...(kind === 'repeated' ? { array: true, nargs: 1 } : {}),
  };
}

/**
 * Two habits of the stock client's parser: `-fjson` for `-f json`, and the number behind `--wait` being its value, while any
 * other word behind it (`--wait web-1`) is not.
 */
function separateValues(argv: readonly string[]): string[] {
  const separated: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? '';
    if (word === '--') return [...separated, ...argv.slice(index)];
    const short = /^-([fc])([^=-].*)$/s.exec(word);
    if (short) separated.push(`-${short[1]}`, short[2] ?? '');
    else if (word !== '--wait') separated.push(word);
    else if (/^[\d.]+$/.test(argv[index + 1] ?? '')) separated.push(`--wait=${argv[++index]}`);
    else separated.push('--wait=');
  }
  return separated;
}
