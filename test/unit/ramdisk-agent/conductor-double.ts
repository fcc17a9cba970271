import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { HIDDEN_TOKEN } from '../../../protocol/agent-api.ts';
import { VERSION_HEADER } from '../../../protocol/microversion.ts';
import { BOOT_NONCE_HEADER } from '../../../protocol/ramdisk-boot.ts';

export interface SeenRequest {
  method: string;
  url: string;
  version: string | undefined;
  bootNonce: string | undefined;
  body: Record<string, unknown>;
  at: number;
}

/** The part of a conductor that an agent talks to, over real HTTP: version, lookup (the token once), heartbeat. */
export class ConductorDouble {
  readonly nodeUuid = '6f1e2d3c-4b5a-4978-8a6b-5c4d3e2f1a0b';
  readonly token = 'token-of-the-conductor-double-0123456789abc';
  readonly lookups: SeenRequest[] = [];
  readonly heartbeats: SeenRequest[] = [];
  /** What comes next: statuses to answer lookups or heartbeats with, before they are answered as usual. */
  readonly lookupFailures: number[] = [];
  readonly heartbeatFailures: number[] = [];
  version = '1.116';
  heartbeatTimeoutS = 300;
  #tokenGiven = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<ConductorDouble> {
    const double = new ConductorDouble();
    double.#server.listen(0, '127.0.0.1');
    await once(double.#server, 'listening');
    return double;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = await read(request);
    const reply = (status: number, body?: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(body === undefined ? undefined : JSON.stringify(body));
    };
    if (seen.url === '/') return reply(200, { default_version: { id: 'v1', version: this.version, min_version: '1.1' } });
    if (seen.url.startsWith('/v1/lookup?')) {
      this.lookups.push(seen);
      const failure = this.lookupFailures.shift();
      if (failure !== undefined) return reply(failure, { error_message: 'no' });
      const agent_token = this.#tokenGiven ? HIDDEN_TOKEN : this.token;
      this.#tokenGiven = true;
      return reply(200, { node: { uuid: this.nodeUuid, properties: {}, instance_info: {}, driver_internal_info: {}, links: [] }, config: { heartbeat_timeout: this.heartbeatTimeoutS, agent_token, agent_token_required: true } });
    }
    if (seen.url === `/v1/heartbeat/${this.nodeUuid}`) {
      this.heartbeats.push(seen);
      const failure = this.heartbeatFailures.shift();
      return failure === undefined ? reply(202) : reply(failure, { error_message: 'refused' });
    }
    return reply(404);
  }
}

async function read(request: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const header = (name: string): string | undefined => {
    const value = request.headers[name.toLowerCase()];
    return typeof value === 'string' ? value : undefined;
  };
  return { method: request.method ?? '', url: request.url ?? '', version: header(VERSION_HEADER), bootNonce: header(BOOT_NONCE_HEADER), body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>), at: performance.now() };
}
