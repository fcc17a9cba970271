import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HIDDEN_TOKEN } from '../protocol/agent-api.ts';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import type { ConductorApi } from './conductor-api.ts';
import type { RunDirectory } from './run-directory.ts';

const TOKEN_FILE = 'token.json';
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const tokenSchema = z.object({ node_uuid: z.string(), token: z.string() });

export interface Registration {
  nodeUuid: string;
  heartbeatTimeoutS: number;
  agentToken: string;
}

export interface LookupOptions {
  api: ConductorApi;
  runDirectory: RunDirectory;
  addresses: readonly string[];
  nodeUuid?: string;
  /** A token that the agent was booted with; otherwise the conductor gives it with the first lookup. */
  bootToken?: string;
  timeoutMs: number;
  firstPauseMs?: number;
  signal: AbortSignal;
  log: Logger;
}

/**
 * Asks the conductor which node this machine is, again and again with growing, jittered pauses.
 * @throws OperationFailedError with the last problem when the time is over, or the signal's reason.
 */
export async function registerAtConductor(options: LookupOptions): Promise<Registration> {
  const { timeoutMs, signal, log } = options;
  const giveUpAt = performance.now() + timeoutMs;
  let pauseMs = options.firstPauseMs ?? FIRST_PAUSE_MS;
  for (;;) {
    try {
      return await register(options);
    } catch (error) {
      signal.throwIfAborted();
      const leftMs = giveUpAt - performance.now();
      const waitMs = Math.min(jitter(pauseMs), leftMs);
      if (leftMs <= 0) throw new OperationFailedError(`no lookup succeeded within ${timeoutMs / 1_000} s; the last one: ${messageOf(error)}`, {}, error);
      log.warn({ problem: messageOf(error), waitMs: Math.round(waitMs) }, 'lookup failed, will be repeated');
      await sleep(waitMs, undefined, { signal });
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }
}

async function register({ api, runDirectory, addresses, nodeUuid, bootToken, signal }: LookupOptions): Promise<Registration> {
  const { node, config } = await api.lookup(addresses, nodeUuid, signal);
  const given = config.agent_token && config.agent_token !== HIDDEN_TOKEN ? config.agent_token : undefined;
  const token = given ?? readToken(runDirectory, node.uuid) ?? bootToken;
  if (token === undefined) {
    throw new OperationFailedError(`the conductor has given the token of node ${node.uuid} to an earlier agent, and it is not in ${runDirectory.path}: the machine has to be booted into the ramdisk anew`);
  }
  runDirectory.write(TOKEN_FILE, JSON.stringify({ node_uuid: node.uuid, token }));
  return { nodeUuid: node.uuid, heartbeatTimeoutS: config.heartbeat_timeout, agentToken: token };
}

/** A token is good for the node that it was given for, and no other. */
function readToken(runDirectory: RunDirectory, nodeUuid: string): string | undefined {
  const text = runDirectory.read(TOKEN_FILE);
  const stored = text === null ? undefined : tokenSchema.parse(JSON.parse(text));
  return stored?.node_uuid === nodeUuid ? stored.token : undefined;
}

/** Between half and one and a half of the pause, so that machines that boot together do not ask together. */
const jitter = (pauseMs: number): number => pauseMs * (0.5 + Math.random());
