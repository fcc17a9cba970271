import type { Command, OptionSpec } from './command.ts';
import { COMMANDS } from './commands/catalogue.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';

/** What can be said of a command line that need not be complete or right. */
export interface WordScan {
  /** The longest run of words that names a command or a group of them: `node power`. */
  path: string;
  /** The command with exactly this name. */
  command: Command | undefined;
  /** Words behind `path` that are neither options nor their values. */
  rest: string[];
  /** Values of options, by name. */
  values: Record<string, string>;
  /** The last word is an option that needs a value. */
  pending: string | undefined;
}

const NAMES = new Map(COMMANDS.map((command) => [command.words, command]));
const PATHS = new Set(COMMANDS.flatMap(({ words }) => words.split(' ').map((_, index, all) => all.slice(0, index + 1).join(' '))));

/** The options that a command line with this command understands. */
export const optionsOf = (command: Command | undefined): Readonly<Record<string, OptionSpec>> => ({ ...GLOBAL_OPTIONS, ...command?.options });

/** Words that can follow `path` to name a command, in the order of the catalogue. */
export function wordsBelow(path: string): string[] {
  const depth = path === '' ? 0 : path.split(' ').length;
  const below = COMMANDS.filter(({ words }) => path === '' || words.startsWith(`${path} `));
  return [...new Set(below.map(({ words }) => words.split(' ')[depth] ?? ''))];
}

export function scanWords(argv: readonly string[]): WordScan {
  const scan: WordScan = { path: '', command: undefined, rest: [], values: {}, pending: undefined };
  for (const word of argv) {
    if (scan.pending !== undefined) {
      scan.values[scan.pending] = word;
      scan.pending = undefined;
    } else if (word.startsWith('-') && word !== '-') scanOption(scan, word);
    else scanWord(scan, word);
  }
  return scan;
}

function scanWord(scan: WordScan, word: string): void {
  const longer = scan.path === '' ? word : `${scan.path} ${word}`;
  if (scan.rest.length > 0 || scan.command !== undefined || !PATHS.has(longer)) {
    scan.rest.push(word);
    return;
  }
  scan.path = longer;
  scan.command = NAMES.get(longer);
}

function scanOption(scan: WordScan, word: string): void {
  const [, short, long, value] = /^(?:-([a-z])|--([^=]+))(?:=(.*))?$/s.exec(word) ?? [];
  const name = long ?? Object.entries(optionsOf(scan.command)).find(([, { alias }]) => alias !== undefined && alias === short)?.[0];
  const spec = name === undefined ? undefined : optionsOf(scan.command)[name];
  if (name === undefined || spec === undefined) return;
  if (value !== undefined) scan.values[name] = value;
  else if (spec.kind === 'text' || spec.kind === 'repeated' || spec.kind === 'words') scan.pending = name;
}
