import { z } from 'zod';
import type { CommandReport } from '../../protocol/agent-api.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { RunDirectory } from '../run-directory.ts';

const FILE = 'commands.json';
/** Older ones are forgotten. */
const KEPT_COMMANDS = 50;

const entrySchema = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED']),
  error: z.object({ type: z.string(), code: z.number(), message: z.string(), details: z.string() }).nullable(),
  result: z.record(z.string(), z.unknown()).nullable(),
  failureDetails: z.record(z.string(), z.unknown()).nullable().default(null),
});
const journalSchema = z.array(entrySchema);

/** A command as it is remembered: without parameters, so that no secret is stored. */
export interface JournalEntry {
  id: string;
  /** `extension.command`. */
  name: string;
  status: CommandReport['command_status'];
  error: CommandReport['command_error'];
  result: JsonObject | null;
  /** What its error will tell as details, whatever the error is. */
  failureDetails: JsonObject | null;
}

/** The agent's commands across its restarts. A command is on disk before it starts. */
export class CommandJournal {
  readonly #runDirectory: RunDirectory;
  readonly #entries: Map<string, JournalEntry>;
  /** Names of the commands that were running when the last agent died. */
  readonly lost: readonly string[];

  /** Opens the journal; what was running when the last agent died is reported FAILED from now on. */
  constructor(runDirectory: RunDirectory) {
    this.#runDirectory = runDirectory;
    const stored = journalSchema.parse(JSON.parse(runDirectory.read(FILE) ?? '[]')) as JournalEntry[];
    this.#entries = new Map(stored.map((entry) => [entry.id, entry.status === 'RUNNING' ? lost(entry) : entry]));
    this.lost = stored.filter(({ status }) => status === 'RUNNING').map(({ name }) => name);
    if (stored.length > 0) this.#save();
  }

  get entries(): readonly JournalEntry[] {
    return [...this.#entries.values()];
  }

  put(entry: JournalEntry): void {
    this.#entries.set(entry.id, entry);
    for (const id of [...this.#entries.keys()].slice(0, -KEPT_COMMANDS)) this.#entries.delete(id);
    this.#save();
  }

  #save(): void {
    this.#runDirectory.write(FILE, JSON.stringify(this.entries));
  }
}

const lost = (entry: JournalEntry): JournalEntry => ({
  ...entry,
  status: 'FAILED',
  result: null,
  error: { type: 'AgentRestarted', code: 500, message: `the agent restarted while ${entry.name} was running; what it had mounted and started has been removed, and it has to be started again`, details: entry.failureDetails === null ? '' : JSON.stringify(entry.failureDetails) },
});
