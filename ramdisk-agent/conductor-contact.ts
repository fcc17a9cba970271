import { readFileSync } from 'node:fs';
import type { Logger } from '../protocol/log.ts';
import { OperationFailedError } from '../protocol/errors.ts';
import { AGENT_VERSION } from './agent-version.ts';
import type { BootMemory } from './boot-memory.ts';
import { ConductorApi } from './conductor-api.ts';
import type { AgentConfig } from './config.ts';
import type { DeadMan } from './dead-man.ts';
import { Heartbeat } from './heartbeat.ts';
import { recallRegistration, registerAtConductor, type Registration } from './lookup.ts';

/** Heartbeats go out at most 0.6 of their timeout apart: several have to fit into the time that the conductor may be silent. */
const HEARTBEAT_TIMEOUTS_PER_SILENCE = 2;
/** Answers that another try does not change: the token or the node is not known (any more), or the callback address is another. */
const REFUSALS = [400, 401, 403, 404];

export interface ConductorContactOptions {
  config: AgentConfig;
  memory: BootMemory;
  deadMan: DeadMan | null;
  /** How long the conductor may be silent; null: for ever. */
  silenceTimeoutS: number | null;
  log: Logger;
}

/** What the agent says to the conductor: the lookup, once in a boot, and heartbeats. */
export class ConductorContact {
  readonly #options: ConductorContactOptions;
  readonly #api: ConductorApi;
  #registration: Registration | null = null;
  /** The registration is that of an earlier agent, and the conductor has not taken it from us yet. */
  #recalled = false;
  #heartbeat: Heartbeat | undefined;

  /** @throws when the certificate file cannot be read. */
  constructor(options: ConductorContactOptions) {
    const { api_url, ca_file, insecure, boot_nonce } = options.config;
    this.#options = options;
    this.#api = new ConductorApi({ url: api_url, ca: ca_file === undefined ? undefined : readFileSync(ca_file, 'utf8'), insecure, bootNonce: boot_nonce });
  }

  /** Null until the conductor has given one. */
  get token(): string | null {
    return this.#registration?.agentToken ?? null;
  }

  /** Finds out which node this is, and begins to send heartbeats. @throws OperationFailedError, or the signal's reason. */
  async start(facts: { callbackUrl: string; certificate: string }, signal: AbortSignal): Promise<void> {
    const { deadMan, log, silenceTimeoutS } = this.#options;
    const { nodeUuid, heartbeatTimeoutS, agentToken } = (this.#registration = await this.#register(signal));
    this.#heartbeat = new Heartbeat({
      timeoutS: Math.min(heartbeatTimeoutS, (silenceTimeoutS ?? Infinity) / HEARTBEAT_TIMEOUTS_PER_SILENCE),
      log,
      send: async (sending) => {
        await this.#api.heartbeat(nodeUuid, { ...facts, agentVersion: AGENT_VERSION, agentToken }, sending).catch((error: unknown) => this.#explain(error));
        this.#recalled = false;
        deadMan?.hearConductor();
      },
    });
    this.#heartbeat.start();
  }

  /** Something has happened that the conductor waits for. */
  force(): void {
    this.#heartbeat?.force();
  }

  async stop(): Promise<void> {
    await this.#heartbeat?.stop();
  }

  async #register(signal: AbortSignal): Promise<Registration> {
    const { config, memory, deadMan, log } = this.#options;
    const recalled = recallRegistration(memory, config.node_uuid);
    if (recalled) {
      this.#recalled = true;
      log.info({ node: recalled.nodeUuid }, 'an earlier agent of this boot has been looked up already, going on with its registration');
      return recalled;
    }
    const registration = await registerAtConductor({ api: this.#api, memory, addresses: config.addresses, nodeUuid: config.node_uuid, bootToken: config.agent_token, timeoutMs: config.lookup_timeout_s * 1_000, signal, log });
    deadMan?.hearConductor();
    log.info({ node: registration.nodeUuid, heartbeatTimeoutS: registration.heartbeatTimeoutS }, 'lookup succeeded');
    return registration;
  }

  /** Always throws. */
  #explain(error: unknown): never {
    const status: unknown = error instanceof OperationFailedError ? error.data['status'] : undefined;
    if (this.#recalled && typeof status === 'number' && REFUSALS.includes(status)) {
      this.#recalled = false; // said once
      this.#options.log.fatal({ status, node: this.#registration?.nodeUuid }, 'the conductor does not take the registration of the earlier agent of this boot: it does not expect this machine in the ramdisk any more, and a lookup is answered once in a boot. The machine has to be booted anew; where the dead-man timer runs, it does that');
    }
    throw error;
  }
}
