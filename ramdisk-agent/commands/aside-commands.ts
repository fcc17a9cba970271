import { randomUUID } from 'node:crypto';
import type { CommandReport } from '../../protocol/agent-api.ts';
import { ConflictError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { describeError, type PreparedCommand } from './command.ts';

/** Commands that end by themselves within seconds: nobody needs to stop them, and they stop for nobody. */
const NEVER = new AbortController().signal;

/**
 * Short commands that change nothing, one at a time beside whatever else runs. Only the latest is remembered, in memory: its
 * result may be large and is of use to the one who asked. Its end forces no heartbeat, and it counts for nothing where the
 * agent's idleness is concerned.
 */
export class AsideCommands {
  readonly #log: Logger;
  #latest: { report: CommandReport; ended: Promise<void> } | null = null;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @throws ConflictError while an earlier one runs. */
  start(name: string, prepared: PreparedCommand): CommandReport {
    if (this.#latest?.report.command_status === 'RUNNING') throw new ConflictError('Agent is busy', { command_id: this.#latest.report.id });
    const report: CommandReport = { id: randomUUID(), command_name: name.replace(/^.*\./, ''), command_params: prepared.publicParams, command_status: 'RUNNING', command_error: null, command_result: null };
    this.#log.info({ command: name, id: report.id }, 'command starts, beside others');
    this.#latest = { report, ended: this.#run(report, prepared) };
    return report;
  }

  /** Undefined for every command that is not the latest of these. */
  report(id: string): CommandReport | undefined {
    return this.#latest?.report.id === id ? { ...this.#latest.report } : undefined;
  }

  async waitForEnd(id: string): Promise<void> {
    if (this.#latest?.report.id === id) await this.#latest.ended;
  }

  /** Never rejects: a command's failure is its result. */
  async #run(report: CommandReport, prepared: PreparedCommand): Promise<void> {
    try {
      const result = await prepared.run({ signal: NEVER, report: () => undefined, rememberForFailure: () => undefined, mustEndAfter: () => undefined });
      Object.assign(report, { command_status: 'SUCCEEDED', command_result: result } satisfies Partial<CommandReport>);
    } catch (error) {
      Object.assign(report, { command_status: 'FAILED', command_error: describeError(error) } satisfies Partial<CommandReport>);
      this.#log.error({ id: report.id, err: error }, 'command failed');
    }
  }
}
