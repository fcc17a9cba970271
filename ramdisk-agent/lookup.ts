import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HIDDEN_TOKEN } from '../protocol/agent-api.ts';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';
import type { BootMemory } from './boot-memory.ts';
import type { ConductorApi } from './conductor-api.ts';

const REGISTRATION_FILE = 'registration.json';
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

const registrationSchema = z.object({ nodeUuid: z.string(), heartbeatTimeoutS: z.number().positive(), agentToken: z.string() });
export type Registration = z.infer<typeof registrationSchema>;

export interface LookupOptions {
  api: ConductorApi;
  memory: BootMemory;
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
 * What an earlier agent of this very boot was told, or null. The conductor answers one lookup in a boot: a second one is an
 * alarm to it, so a restarted agent must not ask again.
 */
export function recallRegistration(memory: BootMemory, nodeUuid: string | undefined): Registration | null {
  const registration = memory.read(REGISTRATION_FILE, registrationSchema);
  return registration === null || (nodeUuid !== undefined && nodeUuid !== registration.nodeUuid) ? null : registration;
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

async function register({ api, memory, addresses, nodeUuid, bootToken, signal }: LookupOptions): Promise<Registration> {
  const { node, config } = await api.lookup(addresses, nodeUuid, signal);
  const given = config.agent_token && config.agent_token !== HIDDEN_TOKEN ? config.agent_token : undefined;
  const agentToken = given ?? bootToken;
  if (agentToken === undefined) {
    throw new OperationFailedError(`the conductor has given the token of node ${node.uuid} to an earlier agent, and nothing of this boot knows it: the machine has to be booted into the ramdisk anew`);
  }
  const registration = { nodeUuid: node.uuid, heartbeatTimeoutS: config.heartbeat_timeout, agentToken };
  memory.write(REGISTRATION_FILE, registration);
  return registration;
}

/** Between half and one and a half of the pause, so that machines that boot together do not ask together. */
const jitter = (pauseMs: number): number => pauseMs * (0.5 + Math.random());
