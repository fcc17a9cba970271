import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemLogsResultSchema } from '../../protocol/agent-api.ts';
import { deadline } from '../../protocol/deadline.ts';
import { OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { NodeRow } from '../db/rows.ts';
import type { AgentClient } from '../drivers/interfaces.ts';

export interface RamdiskLogsOptions {
  /** After which pieces of work logs are kept. */
  collect: 'always' | 'on_failure' | 'never';
  directory: string;
  /** How many are kept for one node. */
  kept: number;
}

export const COLLECT_LOGS_COMMAND = 'log.collect_system_logs';
const COLLECT_TIMEOUT_MS = 20_000;
const NAME = /^[0-9a-f-]{36}_[0-9a-f-]{36}_(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)\.tar\.gz$/;

/** The logs of ramdisks, fetched before their machines are switched off, as files `NODE_WORK_TIME.tar.gz` (UTC). */
export class RamdiskLogs {
  readonly #options: RamdiskLogsOptions;
  readonly #agent: Pick<AgentClient, 'execute'>;
  readonly #log: Logger;

  constructor(options: RamdiskLogsOptions, agent: Pick<AgentClient, 'execute'>, log: Logger) {
    this.#options = options;
    this.#agent = agent;
    this.#log = log;
  }

  /** Never fails: logs are worth no server's downtime, and no work's success. @returns the file's name, or null where none was kept. */
  async keep(node: Readonly<NodeRow>, workUuid: string, { failed, signal }: { failed: boolean; signal: AbortSignal }): Promise<string | null> {
    const { collect, directory } = this.#options;
    if (collect === 'never' || (collect === 'on_failure' && !failed)) return null;
    try {
      const logs = await this.#fetch(node, signal);
      const name = `${node.uuid}_${workUuid}_${new Date().toISOString().slice(0, 19).replace(/[T:]/g, '-')}.tar.gz`;
      await this.#store(name, logs);
      await this.#dropOldest(node.uuid);
      this.#log.info({ node: node.uuid, file: join(directory, name), sizeBytes: logs.length }, 'logs of the ramdisk are kept');
      return name;
    } catch (error) {
      this.#log.warn({ node: node.uuid, work: workUuid, error: messageOf(error) }, 'logs of the ramdisk could not be kept');
      return null;
    }
  }

  async #fetch(node: Readonly<NodeRow>, signal: AbortSignal): Promise<Buffer> {
    const { command_result: result } = await this.#agent.execute(node, COLLECT_LOGS_COMMAND, {}, deadline(COLLECT_TIMEOUT_MS, signal));
    const parsed = systemLogsResultSchema.safeParse(result);
    if (!parsed.success || parsed.data.system_logs === '') throw new OperationFailedError(`The agent answered ${COLLECT_LOGS_COMMAND} with something else than base64 in system_logs`);
    return Buffer.from(parsed.data.system_logs, 'base64');
  }

  async #store(name: string, logs: Buffer): Promise<void> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const unfinished = join(directory, `.${name}`);
    try {
      await writeFile(unfinished, logs, { mode: 0o600 });
      await rename(unfinished, join(directory, name));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  async #dropOldest(nodeUuid: string): Promise<void> {
    const { directory, kept } = this.#options;
    const timeOf = (name: string): string => NAME.exec(name)?.[1] ?? '';
    const own = (await readdir(directory)).filter((name) => name.startsWith(`${nodeUuid}_`) && NAME.test(name));
    const oldest = own.sort((a, b) => timeOf(a).localeCompare(timeOf(b))).slice(0, Math.max(0, own.length - kept));
    for (const name of oldest) await rm(join(directory, name), { force: true });
  }
}
