import yargs, { type Argv, type Options } from 'yargs';
import { Arguments } from './arguments.ts';
import type { Command, OptionSpec } from './command.ts';
import { COMMANDS, GROUP_SUMMARIES } from './commands/catalogue.ts';
import { EXIT, EXIT_CODE_MEANINGS, UsageError } from './exit-code.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';
import { VERSION } from './version.ts';

const PROGRAM = 'baremetal';

const EXIT_CODE_LIST = ['Exit codes:', ...Object.entries(EXIT_CODE_MEANINGS).map(([name, meaning]) => `  ${String(EXIT[name as keyof typeof EXIT]).padStart(3)}  ${meaning}`)].join('\n');

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
  const parser = yargs([])
    .scriptName(PROGRAM)
    .locale('en')
    .parserConfiguration({ 'dot-notation': false, 'short-option-groups': false, 'camel-case-expansion': false, 'parse-numbers': false, 'parse-positional-numbers': false })
    .usage(`$0 <command>\n\nBare Metal service client: servers, their snapshots, and images.`)
    .strict()
    .recommendCommands()
    .alias('help', 'h')
    .version(VERSION)
    .wrap(Math.min(Math.max(columns, 60), 120))
    .completion('completion', 'Print a completion script for the shell: baremetal completion >> ~/.bashrc')
    .updateStrings({ 'Options:': 'Global options:' })
    .epilogue(EXIT_CODE_LIST)
    .options(Object.fromEntries(Object.entries(GLOBAL_OPTIONS).map(([name, spec]) => [name, { ...yargsOption(spec), global: true }])));
  addCommands(parser, COMMANDS, [], (command, values) => (matched = { command, args: new Arguments(values) }));
  void parser.parse(separateValues(argv), {}, (error: Error | undefined, _argv: unknown, output: string) => {
    failure = error?.message;
    printed = output;
  });
  if (failure !== undefined) throw new UsageError(`${failure.replace(/\s*\n\s*/g, ' ')} (see "${helpCommand(argv)}")`);
  if (matched && printed === '') return matched;
  return { text: printed };
}

/** Registers commands level by level: `node`, below it `node power`, below it `node power on`. */
function addCommands(parser: Argv, commands: readonly Command[], prefix: readonly string[], onMatch: (command: Command, values: Record<string, unknown>) => void): void {
  const depth = prefix.length;
  for (const word of new Set(commands.map((command) => command.words.split(' ')[depth] ?? ''))) {
    const below = commands.filter((command) => command.words.split(' ')[depth] === word);
    const leaf = below.find((command) => command.words.split(' ').length === depth + 1);
    const words = [...prefix, word];
    if (leaf) {
      const positionals = (leaf.positionals ?? []).map(({ name, many }) => `<${name}${many ? '..' : ''}>`);
      parser.command([word, ...positionals].join(' '), leaf.summary, (own) => addArguments(own, leaf), (values) => onMatch(leaf, values));
    } else {
      parser.command(word, GROUP_SUMMARIES[words.join(' ')] ?? '', (own) => {
        addCommands(own, below, words, onMatch);
        return own.demandCommand(1, `"${words.join(' ')}" needs one more word`);
      });
    }
  }
  if (depth === 0) parser.demandCommand(1, 'a command is needed');
}

function addArguments(parser: Argv, command: Command): Argv {
  for (const { name, describe } of command.positionals ?? []) parser.positional(name, { type: 'string', describe });
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

/** The help of the longest run of words that names a command or a group of them. */
function helpCommand(argv: readonly string[]): string {
  const known = new Set(COMMANDS.flatMap(({ words }) => words.split(' ').map((_, index, all) => all.slice(0, index + 1).join(' '))));
  let words = '';
  for (const word of argv) {
    const longer = words === '' ? word : `${words} ${word}`;
    if (known.has(longer)) words = longer;
  }
  return [PROGRAM, words, '--help'].filter((part) => part !== '').join(' ');
}
