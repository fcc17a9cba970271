import type { z } from 'zod';
import { MetalshotError, messageOf } from '../../protocol/errors.ts';
import type { CommandError } from '../../protocol/agent-api.ts';
import type { JsonObject } from '../../protocol/json.ts';

export interface CommandContext {
  /** Aborted when the command is stopped; its reason is the error to fail with. */
  readonly signal: AbortSignal;
  /** Shown as `command_result` while the command runs. */
  report(progress: JsonObject): void;
  /** What the `details` of this command's error will be, as JSON, if it fails or the agent dies. Stored before this returns. */
  rememberForFailure(details: JsonObject): void;
  /** From the abortion of this signal on the command is to end: the dead-man timer counts how long it still takes. */
  mustEndAfter(signal: AbortSignal): void;
}

/** What a request starts: its parameters are valid, it has not begun. */
export interface PreparedCommand {
  /** Parameters as replies may show them. */
  publicParams: JsonObject;
  /** Short and harmless: runs while another command does, and leaves no trace in the journal. */
  aside: boolean;
  run(context: CommandContext): Promise<JsonObject>;
}

export interface Command {
  /** @throws InvalidParameterError (400) with the reason. */
  prepare(params: Record<string, unknown>): PreparedCommand;
}

export interface CommandDefinition<Schema extends z.ZodType> {
  paramsSchema: Schema;
  /** Names of parameters whose values never leave the agent. */
  secretParams: readonly string[];
  /** Default: false. */
  aside?: boolean;
  /** Releases everything that it has taken before it settles, also when it is stopped. */
  run(params: z.infer<Schema>, context: CommandContext): Promise<JsonObject>;
}

export type Extension = Readonly<Record<string, Command>>;

/** An error as the commands API shows it. */
export function describeError(error: unknown): CommandError {
  const known = error instanceof MetalshotError;
  const details = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : '';
  return { type: known ? error.code : 'InternalError', code: known ? error.httpStatus : 500, message: messageOf(error), details };
}
