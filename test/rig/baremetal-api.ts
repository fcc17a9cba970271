import { createHttpClient } from '../../protocol/http-client.ts';
import { SNAPSHOT_MICROVERSION, VERSION_HEADER, formatMicroversion } from '../../protocol/microversion.ts';
import type { SnapshotView } from '../../protocol/provision.ts';
import { until } from './until.ts';

export interface Reply {
  status: number;
  headers: Record<string, unknown>;
  // a test asserts on whatever came: the shape is what is under test
  body: Record<string, unknown>;
}

export interface NodeView {
  uuid: string;
  provision_state: string;
  target_provision_state: string | null;
  power_state: string | null;
  last_error: string | null;
  reservation: string | null;
  driver_internal_info: { snapshot?: SnapshotView; [name: string]: unknown };
  [name: string]: unknown;
}

/** The admin API as a plain HTTP client sees it. */
export class BaremetalApi {
  readonly #baseURL: string;

  constructor(baseURL: string) {
    this.#baseURL = baseURL;
  }

  async request(method: string, path: string, body?: unknown, minor = SNAPSHOT_MICROVERSION): Promise<Reply> {
    const client = createHttpClient({ baseURL: this.#baseURL, timeoutMs: 30_000 });
    const reply = await client.request<Record<string, unknown>>({ method, url: path, data: body, headers: { [VERSION_HEADER]: formatMicroversion(minor), 'Content-Type': 'application/json' } });
    return { status: reply.status, headers: reply.headers, body: reply.data };
  }

  async expect(status: number, method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const reply = await this.request(method, path, body);
    if (reply.status !== status) throw new Error(`${method} ${path}: expected ${status}, found ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }

  provision(ident: string, target: string, more: Record<string, unknown> = {}, minor = SNAPSHOT_MICROVERSION): Promise<Reply> {
    return this.request('PUT', `/v1/nodes/${ident}/states/provision`, { target, ...more }, minor);
  }

  /** A verb that must be accepted. */
  async demand(ident: string, target: string, more: Record<string, unknown> = {}): Promise<void> {
    const reply = await this.provision(ident, target, more);
    if (reply.status !== 202) throw new Error(`${target}: expected 202, found ${reply.status} ${JSON.stringify(reply.body)}`);
  }

  async node(ident: string): Promise<NodeView> {
    return (await this.expect(200, 'GET', `/v1/nodes/${ident}`)) as NodeView;
  }

  /** Waits until the node is in the state and nobody works on it. */
  settled(ident: string, state: string, timeoutMs = 60_000): Promise<NodeView> {
    let seen: NodeView | undefined;
    return until(
      `node ${ident} is ${state} and unlocked`,
      async () => {
        seen = await this.node(ident);
        return seen.provision_state === state && seen.reservation === null ? seen : null;
      },
      timeoutMs,
      () => seen,
    );
  }

  /** Waits until the node's snapshot is in the phase. */
  phase(ident: string, phase: string, timeoutMs = 60_000): Promise<NodeView> {
    let seen: NodeView | undefined;
    return until(
      `snapshot of ${ident} is in phase ${phase}`,
      async () => {
        seen = await this.node(ident);
        return seen.driver_internal_info.snapshot?.phase === phase ? seen : null;
      },
      timeoutMs,
      () => seen,
    );
  }
}

/** The human part of an error reply. */
export function faultString(reply: Reply): string {
  const inner = JSON.parse(String(reply.body['error_message'])) as { faultstring?: string; title?: string; description?: string };
  return inner.faultstring ?? `${inner.title}: ${inner.description}`;
}
