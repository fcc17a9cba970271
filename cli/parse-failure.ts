import type { Command, PositionalSpec } from './command.ts';
import { nearest } from './nearest.ts';
import { optionsOf, scanWords, wordsBelow, type WordScan } from './word-scan.ts';

export const PROGRAM = 'baremetal';

/**
 * What is wrong with a command line, in a sentence that names the argument, what was probably meant, and how the command is used.
 * @param said what yargs says of it.
 */
export function explainParseFailure(argv: readonly string[], said: string): string {
  const scan = scanWords(argv);
  const help = [PROGRAM, scan.path, '--help'].filter((part) => part !== '').join(' ');
  if (scan.command === undefined) return `${explainCommand(scan)} (see "${help}")`;
  return `${explainArguments(argv, scan, scan.command, said.replace(/\s*\n\s*/g, ' '))} (see "${help}")\nusage: ${usageOf(scan.command)}`;
}

/** `baremetal node show [options] <node>` */
export function usageOf({ words, options, positionals }: Command): string {
  const required = Object.entries(options ?? {}).flatMap(([name, spec]) => (spec.required ? [`--${name} <${name}>`] : []));
  return [PROGRAM, words, '[options]', ...required, ...(positionals ?? []).map(placeholder)].join(' ');
}

/** As yargs writes it: `<node>`, `[trait..]`. */
export const placeholder = ({ name, many, optional }: PositionalSpec): string => (optional ? `[${name}${many ? '..' : ''}]` : `<${name}${many ? '..' : ''}>`);

function explainCommand({ path, rest }: WordScan): string {
  const below = wordsBelow(path);
  const begun = path === '' ? '' : `${path} `;
  const [word, ...others] = rest;
  if (word === undefined) return path === '' ? 'a command is needed' : `"${path}" needs one more word: ${below.join(', ')}`;
  const meant = nearest(word, below);
  if (meant === undefined) return `"${begun}${word}" is no command; there are ${below.map((known) => `${begun}${known}`).join(', ')}`;
  const whole = scanWords([...begun.split(' ').filter(Boolean), meant, ...others]);
  return `"${begun}${word}" is no command; did you mean "${whole.command?.words ?? `${begun}${meant}`}"?`;
}

function explainArguments(argv: readonly string[], { rest }: WordScan, command: Command, said: string): string {
  const positionals = command.positionals ?? [];
  const unknown = /^Unknown arguments?: (.+)$/.exec(said)?.[1]?.split(', ');
  if (unknown) return unknown.map((name) => explainUnknown(argv, command, name)).join('; ');
  if (said.startsWith('Not enough non-option arguments')) {
    const missing = positionals.filter(({ optional }) => !optional).slice(rest.length);
    return `${missing.map(({ name, describe }) => `<${name}> (${describe})`).join(' and ')} is missing`;
  }
  const missing = /^Missing required arguments?: (.+)$/.exec(said)?.[1];
  if (missing !== undefined) return `${missing.split(', ').map((name) => `--${name} (${command.options?.[name]?.describe ?? 'required'})`).join(' and ')} is missing`;
  const valueless = /^Not enough arguments following: (.+)$/.exec(said)?.[1];
  if (valueless !== undefined) return `${dashed(valueless)} needs a value`;
  const choice = /^Invalid values: Argument: (.+), Given: (.+), Choices: (.+)$/.exec(said);
  if (choice) return `${positionals.some(({ name }) => name === choice[1]) ? `<${choice[1]}>` : dashed(choice[1] ?? '')} expects one of ${choice[3]?.replaceAll('"', '')}, got ${choice[2]}`;
  const exclusive = /^Arguments (.+) and (.+) are mutually exclusive$/.exec(said);
  if (exclusive) return `--${exclusive[1]} and --${exclusive[2]} exclude each other`;
  return said;
}

const dashed = (name: string): string => (name.length === 1 ? `-${name}` : `--${name}`);

/** yargs calls both an option and a word too many an unknown argument, without its dashes. */
function explainUnknown(argv: readonly string[], command: Command, name: string): string {
  const isOption = argv.some((word) => new RegExp(`^--?(no-)?${name.replace(/[^\w-]/g, '\\$&')}(=|$)`).test(word));
  if (!isOption) return `"${name}" is one argument too many`;
  const meant = nearest(name, Object.keys(optionsOf(command)));
  return `there is no option ${dashed(name)}${meant === undefined ? '' : `; did you mean --${meant}?`}`;
}
