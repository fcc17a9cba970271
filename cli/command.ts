import type { ApiClient } from './api-client.ts';
import type { Arguments } from './arguments.ts';
import type { ImageClient } from './image-client.ts';
import type { Output } from './output.ts';

/** What a command works with. Nothing in cli/ but main.ts reads the process's arguments, environment or streams. */
export interface CommandContext {
  readonly api: ApiClient;
  readonly images: ImageClient;
  readonly output: Output;
  /** Aborted when the person presses Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * - `text`: takes one value; `flag`: takes none, `--no-…` negates it; `repeated`: one value each time it is given;
 * - `words`: takes all words up to the next option; `optional`: the value may be left out (then it is empty).
 */
export type OptionKind = 'text' | 'flag' | 'repeated' | 'words' | 'optional';

export interface OptionSpec {
  kind: OptionKind;
  describe: string;
  alias?: string;
  choices?: readonly string[];
  required?: boolean;
  /** What its value is completed to in a shell. */
  names?: NameSource;
}

/** Things whose names the service can be asked for. */
export type NameSource = 'nodes' | 'images' | 'drivers';

export interface PositionalSpec {
  name: string;
  describe: string;
  many?: boolean;
  optional?: boolean;
  choices?: readonly string[];
  names?: NameSource;
}

export interface Command {
  /** As typed, without the program's name: `node power on`. */
  readonly words: string;
  readonly summary: string;
  readonly positionals?: readonly PositionalSpec[];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** Options that exclude each other. */
  readonly conflicts?: readonly (readonly [string, string])[];
  /** Arguments after the program's name, and what they do. */
  readonly examples: readonly (readonly [string, string])[];
  /** It speaks to no service: what the environment says of them is not even read. */
  readonly isLocal?: boolean;
  run(context: CommandContext, args: Arguments): Promise<void>;
}

export const NODE_POSITIONAL: PositionalSpec = { name: 'node', describe: 'Name or UUID of the node', names: 'nodes' };
