import { CommandFailure, EXIT } from '../exit-code.ts';
import type { Output } from '../output.ts';

/**
 * Deletes several things one after the other, says of each how it went, and goes on after a failure.
 * @throws CommandFailure with the exit code of the first failure, after the last.
 */
export async function deleteEach(output: Output, kind: string, idents: readonly string[], deleteOne: (ident: string) => Promise<unknown>): Promise<void> {
  const failures: CommandFailure[] = [];
  for (const ident of idents) {
    try {
      await deleteOne(ident);
      output.say(`deleted ${kind} ${ident}`);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.exitCode === EXIT.interrupted || error.exitCode === EXIT.unavailable) throw error; // the next ones would fare no better
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first) throw failures.length === 1 ? first : new CommandFailure(first.exitCode, failures.map(({ message }) => message).join('; '));
}
