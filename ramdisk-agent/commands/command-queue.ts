import { randomUUID } from 'node:crypto';
import { ConflictError, InvalidParameterError, NotFoundError, OperationFailedError } from '../../protocol/errors.ts';
import type { CommandReport, CommandRequest } from '../../protocol/agent-api.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { Logger } from '../../protocol/log.ts';
import { describeError, type CommandContext, type Extension, type PreparedCommand } from './command.ts';
import { AsideCommands } from './aside-commands.ts';
import type { CommandJournal, JournalEntry } from './command-journal.ts';

interface RunningCommand {
  id: string;
  name: string;
  abort: AbortController;
  /** When it had to end, by performance.now(); null: it still may go on. */
  overAt: number | null;
  ended: Promise<void>;
}

/** What the dead-man timer has to know of a command. */
export interface CommandUnderWay {
  name: string;
  /** Milliseconds since it was to end; null: it still may go on. */
  overForMs: number | null;
}

/** Runs one command at a time, besides short ones of another kind, and knows what became of the earlier ones. */
export class CommandQueue {
  readonly #extensions: Readonly<Record<string, Extension>>;
  readonly #journal: CommandJournal;
  readonly #log: Logger;
  readonly #onEnd: () => void;
  readonly #params = new Map<string, JsonObject>();
  readonly #aside: AsideCommands;
  #running: RunningCommand | null = null;

  /** @param onEnd called whenever a command has ended, whatever way. */
  constructor(extensions: Readonly<Record<string, Extension>>, journal: CommandJournal, log: Logger, onEnd: () => void) {
    this.#extensions = extensions;
    this.#journal = journal;
    this.#log = log;
    this.#onEnd = onEnd;
    this.#aside = new AsideCommands(log);
  }

  get underWay(): CommandUnderWay | null {
    if (!this.#running) return null;
    const { name, overAt } = this.#running;
    return { name, overForMs: overAt === null ? null : performance.now() - overAt };
  }

  /**
   * Starts a command and returns without waiting for its end. What can never work is told before what does not work now.
   * @throws NotFoundError for an unknown extension, InvalidParameterError for an unknown command or bad parameters,
   *   ConflictError while another command runs.
   */
  start(request: CommandRequest): CommandReport {
    const prepared = this.#prepare(request);
    if (prepared.aside) return this.#aside.start(request.name, prepared);
    if (this.#running) throw new ConflictError('Agent is busy', { command_id: this.#running.id });
    const entry: JournalEntry = { id: randomUUID(), name: request.name, status: 'RUNNING', error: null, result: null, failureDetails: null };
    this.#params.set(entry.id, prepared.publicParams);
    this.#journal.put(entry);
    this.#log.info({ command: entry.name, id: entry.id, params: prepared.publicParams }, 'command starts');
    const running: RunningCommand = { id: entry.id, name: entry.name, abort: new AbortController(), overAt: null, ended: Promise.resolve() };
    this.#running = running;
    running.ended = this.#run(entry, prepared, running);
    return this.report(entry.id);
  }

  /** @throws NotFoundError */
  report(id: string): CommandReport {
    const aside = this.#aside.report(id);
    if (aside) return aside;
    const entry = this.#journal.entries.find((each) => each.id === id);
    if (!entry) throw new NotFoundError(`Command ${id} could not be found.`);
    return {
      id,
      command_name: entry.name.replace(/^.*\./, ''),
      command_params: this.#params.get(id),
      command_status: entry.status,
      command_error: entry.error,
      command_result: entry.result,
    };
  }

  /** All but those that ran aside. */
  reports(): CommandReport[] {
    return this.#journal.entries.map(({ id }) => this.report(id));
  }

  /** Resolves when the command has ended. @throws NotFoundError */
  async waitForEnd(id: string): Promise<CommandReport> {
    this.report(id);
    await this.#aside.waitForEnd(id);
    if (this.#running?.id === id) await this.#running.ended;
    return this.report(id);
  }

  /** Stops a running command; resolves once it has let go of everything. An ended one: fine. @throws NotFoundError */
  async stop(id: string, reason = 'the command was stopped on request'): Promise<void> {
    this.report(id);
    await this.#aside.waitForEnd(id);
    if (this.#running?.id !== id) return;
    this.#running.abort.abort(new OperationFailedError(reason));
    await this.#running.ended;
  }

  /** Stops whatever runs. */
  async stopAll(reason: string): Promise<void> {
    if (this.#running) await this.stop(this.#running.id, reason);
  }

  #prepare(request: CommandRequest): PreparedCommand {
    const [extensionName = '', commandName = ''] = request.name.split('.');
    const extension = Object.hasOwn(this.#extensions, extensionName) ? this.#extensions[extensionName] : undefined;
    if (!extension) throw new NotFoundError(`Extension ${extensionName} could not be found; there are ${Object.keys(this.#extensions).join(', ')}.`);
    const command = Object.hasOwn(extension, commandName) ? extension[commandName] : undefined;
    if (!command) throw new InvalidParameterError(`Unknown command ${commandName} of extension ${extensionName}; there are ${Object.keys(extension).join(', ')}.`);
    return command.prepare(request.params);
  }

  /** Never rejects: a command's failure is its result. */
  async #run(entry: JournalEntry, prepared: PreparedCommand, running: RunningCommand): Promise<void> {
    await Promise.resolve(); // first the caller has to note that a command is running
    const started = performance.now();
    const { signal } = running.abort;
    const noteOver = (): void => void (running.overAt ??= performance.now());
    const mustEndAfter: CommandContext['mustEndAfter'] = (limit) => (limit.aborted ? noteOver() : limit.addEventListener('abort', noteOver, { once: true }));
    mustEndAfter(signal);
    const report = (progress: JsonObject): void => {
      entry.result = progress; // in memory only: nobody needs the progress of a command that was lost
    };
    const rememberForFailure = (details: JsonObject): void => {
      entry.failureDetails = details;
      this.#journal.put(entry);
    };
    try {
      const result = await prepared.run({ signal, report, rememberForFailure, mustEndAfter });
      this.#journal.put({ ...entry, status: 'SUCCEEDED', result });
      const peakMemoryBytes = process.resourceUsage().maxRSS * 1_024; // of the agent's process since it began, without its children
      this.#log.info({ command: entry.name, id: entry.id, peakMemoryBytes, durationMs: Math.round(performance.now() - started), result }, 'command succeeded');
    } catch (error) {
      const details = entry.failureDetails === null ? {} : { details: JSON.stringify(entry.failureDetails) };
      this.#journal.put({ ...entry, status: 'FAILED', result: null, error: { ...describeError(error), ...details } });
      this.#log.error({ command: entry.name, id: entry.id, err: error }, 'command failed');
    } finally {
      this.#running = null;
      this.#onEnd();
    }
  }
}
