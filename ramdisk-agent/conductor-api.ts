import type { AxiosInstance } from 'axios';
import { z } from 'zod';
import {
  AGENT_TOKEN_MICROVERSION,
  AGENT_VERIFY_CA_MICROVERSION,
  AGENT_VERSION_MICROVERSION,
  LOOKUP_MICROVERSION,
  type HeartbeatBody,
} from '../protocol/agent-api.ts';
import { OperationFailedError } from '../protocol/errors.ts';
import { createHttpClient, describeHttpFailure } from '../protocol/http-client.ts';
import { formatMicroversion, MAX_VERSION_HEADER, VERSION_HEADER } from '../protocol/microversion.ts';
import { BOOT_NONCE_HEADER } from '../protocol/ramdisk-boot.ts';

const REQUEST_TIMEOUT_MS = 30_000;

export interface ConductorApiOptions {
  url: string;
  /** PEM of the conductor's own certificate or of the authority that signed it. */
  ca?: string;
  /** Trust any certificate: only ever by explicit configuration. */
  insecure: boolean;
  /** Of this boot; brought to lookups only. */
  bootNonce?: string;
}

const rootSchema = z.object({ default_version: z.object({ version: z.string() }).optional() });
const lookupSchema = z.object({
  node: z.object({ uuid: z.string() }),
  config: z.object({ heartbeat_timeout: z.number().positive(), agent_token: z.string().nullish() }),
});
export type Lookup = z.infer<typeof lookupSchema>;

export interface HeartbeatFacts {
  callbackUrl: string;
  agentVersion: string;
  agentToken: string;
  certificate: string;
}

/** Lookup and heartbeat of the conductor's provisioning listener, at a version that both sides speak. */
export class ConductorApi {
  readonly #client: AxiosInstance;
  readonly #bootNonce: string | undefined;
  #microversion: number | null = null;

  constructor({ url, ca, insecure, bootNonce }: ConductorApiOptions) {
    this.#bootNonce = bootNonce;
    this.#client = createHttpClient({ baseURL: url.replace(/\/+$/, ''), timeoutMs: REQUEST_TIMEOUT_MS, ca, pinned: ca !== undefined, insecure });
  }

  /** @throws OperationFailedError for every reply that is not a node of ours, and when there is no reply. */
  async lookup(addresses: readonly string[], nodeUuid: string | undefined, signal: AbortSignal): Promise<Lookup> {
    this.#microversion ??= await this.#negotiate(signal);
    const params = { addresses: addresses.join(','), ...(nodeUuid === undefined ? {} : { node_uuid: nodeUuid }) };
    const headers: Record<string, string> = this.#bootNonce === undefined ? {} : { [BOOT_NONCE_HEADER]: this.#bootNonce };
    const reply = await this.#request({ method: 'GET', url: '/v1/lookup', params, headers }, signal);
    if (reply.status === 404) throw new OperationFailedError(`the conductor expects no ramdisk with the addresses ${addresses.join(', ')} (404): is there a port with one of them, is its node being worked on, and was this machine booted by what the conductor has handed out for this boot?`);
    if (reply.status !== 200) throw new OperationFailedError(`lookup: expected 200, found ${reply.status} ${describeBody(reply.data)}`);
    const parsed = lookupSchema.safeParse(reply.data);
    if (!parsed.success) throw new OperationFailedError(`lookup: the reply lacks what an agent needs: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }

  /** @throws OperationFailedError unless the conductor has taken it (202). */
  async heartbeat(nodeUuid: string, facts: HeartbeatFacts, signal: AbortSignal): Promise<void> {
    this.#microversion ??= await this.#negotiate(signal);
    const reply = await this.#request({ method: 'POST', url: `/v1/heartbeat/${encodeURIComponent(nodeUuid)}`, data: buildHeartbeat(facts, this.#microversion) }, signal);
    if (reply.status !== 202) throw new OperationFailedError(`heartbeat: expected 202, found ${reply.status} ${describeBody(reply.data)}`, { status: reply.status });
  }

  /** The newest version that we know how to use and that the conductor has. */
  async #negotiate(signal: AbortSignal): Promise<number> {
    const reply = await this.#request({ method: 'GET', url: '/' }, signal);
    if (reply.status !== 200) throw new OperationFailedError(`the conductor's version: expected 200 of GET /, found ${reply.status}`);
    const root = rootSchema.safeParse(reply.data);
    const header: unknown = reply.headers[MAX_VERSION_HEADER.toLowerCase()];
    const version = (root.success ? root.data.default_version?.version : undefined) ?? String(header);
    const minor = Number(/^1\.(\d+)$/.exec(version)?.[1]);
    if (Number.isNaN(minor)) throw new OperationFailedError(`the conductor's version: expected 1.N, found "${version}". Is the address that of an Ironic-compatible API?`);
    if (minor < LOOKUP_MICROVERSION) throw new OperationFailedError(`the conductor speaks ${version}, an agent needs at least ${formatMicroversion(LOOKUP_MICROVERSION)}`);
    return Math.min(minor, AGENT_VERIFY_CA_MICROVERSION);
  }

  async #request(config: { method: string; url: string; params?: Record<string, string>; headers?: Record<string, string>; data?: unknown }, signal: AbortSignal): Promise<{ status: number; data: unknown; headers: Record<string, unknown> }> {
    const headers = { ...config.headers, ...(this.#microversion === null ? {} : { [VERSION_HEADER]: formatMicroversion(this.#microversion) }) };
    try {
      return await this.#client.request<unknown>({ ...config, headers, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw new OperationFailedError(`the conductor does not answer: ${describeHttpFailure(error)}`);
    }
  }
}

/** Fields by the version that knows them: an older conductor refuses what it does not know. */
export function buildHeartbeat(facts: HeartbeatFacts, microversion: number): Partial<HeartbeatBody> {
  return {
    callback_url: facts.callbackUrl,
    ...(microversion >= AGENT_VERSION_MICROVERSION ? { agent_version: facts.agentVersion } : {}),
    ...(microversion >= AGENT_TOKEN_MICROVERSION ? { agent_token: facts.agentToken } : {}),
    ...(microversion >= AGENT_VERIFY_CA_MICROVERSION ? { agent_verify_ca: facts.certificate } : {}),
  };
}

const describeBody = (data: unknown): string => (typeof data === 'string' ? data : JSON.stringify(data) ?? '').slice(0, 500);
