import { Arguments } from './arguments.ts';
import type { CommandContext, NameSource } from './command.ts';
import { createContext } from './context.ts';
import { readSettings } from './global-options.ts';
import { Output, type OutputStream } from './output.ts';
import { Writable } from 'node:stream';
import type { Environment } from './settings-values.ts';
import { optionsOf, scanWords, wordsBelow, type WordScan } from './word-scan.ts';

/** The scripts of `baremetal completion` call the program with this, the words before the cursor, and the one at it. */
export const COMPLETION_WORD = '--complete-words';
/** A person waits at the prompt: names that do not come at once are left out. */
const NAMES_TIMEOUT_S = '2';

/**
 * What the last of `words` can be completed to: words of commands, options, their choices, names the service knows.
 * Nothing is said of trouble on the way: a completion must not write into the line that is being typed.
 */
export async function completeWords(words: readonly string[], env: Environment, signal: AbortSignal): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const scan = scanWords(words.slice(0, -1));
  const candidates = await candidatesFor(scan, current, (source) => namesOf(source, scan, env, signal));
  return [...new Set(candidates)].filter((candidate) => candidate.startsWith(current));
}

async function candidatesFor(scan: WordScan, current: string, names: (source: NameSource) => Promise<string[]>): Promise<string[]> {
  const options = optionsOf(scan.command);
  if (scan.pending !== undefined) {
    const spec = options[scan.pending];
    return spec?.names === undefined ? [...(spec?.choices ?? [])] : names(spec.names);
  }
  if (current.startsWith('-')) return [...Object.keys(options), 'help'].map((name) => `--${name}`);
  if (scan.command === undefined) return scan.rest.length === 0 ? wordsBelow(scan.path) : [];
  const positionals = scan.command.positionals ?? [];
  const last = positionals.at(-1);
  const positional = positionals[scan.rest.length] ?? (last?.many ? last : undefined);
  return positional?.names === undefined ? [...(positional?.choices ?? [])] : names(positional.names);
}

const SOURCES: Readonly<Record<NameSource, (context: CommandContext) => Promise<unknown[]>>> = {
  nodes: async ({ api }) => (await api.list('/v1/nodes?fields=name,uuid', 'nodes')).map(({ name, uuid }) => name ?? uuid),
  images: async ({ images }) => (await images.list({})).map(({ name, id }) => name ?? id),
  drivers: async ({ api }) => (await api.list('/v1/drivers', 'drivers')).map(({ name }) => name),
};

async function namesOf(source: NameSource, scan: WordScan, env: Environment, signal: AbortSignal): Promise<string[]> {
  const silent: OutputStream = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    const output = new Output(silent, silent, { format: 'table', columns: [], debug: false, width: undefined });
    const settings = readSettings(new Arguments({ ...scan.values, timeout: NAMES_TIMEOUT_S, 'max-retries': '0' }), env);
    return (await SOURCES[source](await createContext(settings, output, signal))).map(String);
  } catch {
    return []; // no service, no credentials: then there are no names to offer
  }
}
