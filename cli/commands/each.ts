import { CommandFailure, EXIT } from '../exit-code.ts';
import type { Output } from '../output.ts';

/**
 * Does something with several things one after the other, says `done(thing)` of each that went well, and goes on after a failure.
 * @throws CommandFailure with the exit code of the first failure, after the last; at once, with those before it said, when the service is gone or Ctrl-C is pressed.
 */
export async function doEach(output: Output, idents: readonly string[], done: (ident: string) => string, doOne: (ident: string) => Promise<unknown>): Promise<void> {
  const failures: CommandFailure[] = [];
  for (const ident of idents) {
    try {
      await doOne(ident);
      output.say(done(ident));
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.exitCode === EXIT.interrupted || error.exitCode === EXIT.unavailable) {
        for (const { message } of failures) output.problem(message);
        throw error; // the next ones would fare no better
      }
      failures.push(idents.length === 1 || error.message.includes(ident) ? error : new CommandFailure(error.exitCode, `${ident}: ${error.message}`, error));
    }
  }
  const [first] = failures;
  if (first) throw failures.length === 1 ? first : new CommandFailure(first.exitCode, failures.map(({ message }) => message).join('; '));
}

/** Deletes several things of a kind, as `doEach` does. */
export const deleteEach = (output: Output, kind: string, idents: readonly string[], deleteOne: (ident: string) => Promise<unknown>): Promise<void> =>
  doEach(output, idents, (ident) => `deleted ${kind} ${ident}`, deleteOne);
