import { messageOf } from '../protocol/errors.ts';
import { parseCommandLine } from './command-line.ts';
import { COMPLETION_WORD, completeWords } from './completion.ts';
import { createContext } from './context.ts';
import { CommandFailure, EXIT, type ExitCode } from './exit-code.ts';
import { readOutputSettings, readSettings } from './global-options.ts';
import { Output, type OutputStream } from './output.ts';
import { variable, type Environment } from './settings-values.ts';

export interface Streams {
  stdout: OutputStream;
  stderr: OutputStream;
}

const NO_SETTINGS = { format: 'table', columns: [], debug: false, width: undefined } as const;
const DEFAULT_WIDTH = 80;
const HELP_WIDTH = 100;

/**
 * One run of the command line, from its words to its exit code; everything that goes wrong has been said on stderr.
 * @param interrupt fires when the person presses Ctrl-C.
 */
export async function run(argv: readonly string[], env: Environment, { stdout, stderr }: Streams, interrupt: AbortSignal = new AbortController().signal): Promise<ExitCode> {
  let output = new Output(stdout, stderr, NO_SETTINGS);
  if (argv[0] === COMPLETION_WORD) {
    for (const word of await completeWords(argv.slice(1), env, interrupt)) output.text(word);
    return EXIT.ok;
  }
  const width = stdout.isTTY ? terminalWidth(stdout, env) : undefined;
  try {
    const parsed = parseCommandLine(argv, width ?? HELP_WIDTH);
    if ('text' in parsed) {
      output.text(parsed.text);
      return EXIT.ok;
    }
    output = new Output(stdout, stderr, readOutputSettings(parsed.args, width));
    await parsed.command.run(await createContext(readSettings(parsed.args, parsed.command.isLocal ? {} : env), output, interrupt), parsed.args);
    return EXIT.ok;
  } catch (error) {
    output.problem(messageOf(error));
    if (error instanceof Error && error.stack !== undefined && !(error instanceof CommandFailure)) output.debug(error.stack);
    return error instanceof CommandFailure ? error.exitCode : EXIT.operationFailed;
  }
}

/** As programs of a shell find it: COLUMNS, else what the terminal says of itself. */
function terminalWidth(stdout: OutputStream, env: Environment): number {
  const said = Number(variable(env, 'COLUMNS'));
  return Number.isInteger(said) && said > 0 ? said : stdout.columns || DEFAULT_WIDTH;
}
