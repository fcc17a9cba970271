import { request as requestHttp, type ClientRequest } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface Endpoint {
  /** Without a trailing slash. */
  url: string;
  /** PEM of the only authority that is trusted for https. */
  ca?: string;
  insecure?: boolean;
}

/**
 * Opens a request that carries an image's data. By node:http and not by the HTTP client, because an upload may be
 * answered before its body ends, its deadline is a stall and not a total, and nothing of it may be held in memory.
 * A connection of its own, kept open by name: a server that closes it after an early answer would reset it and take
 * the answer away from us. Redirects are not followed.
 */
export function openExchange(endpoint: Endpoint, method: 'GET' | 'PUT', path: string, headers: Record<string, string | number>): ClientRequest {
  const target = new URL(endpoint.url + path);
  const options = { method, headers: { ...headers, Connection: 'keep-alive' }, agent: false as const };
  return target.protocol === 'https:' ? requestHttps(target, { ...options, ca: endpoint.ca, rejectUnauthorized: !endpoint.insecure }) : requestHttp(target, options);
}

/** Calls back once when nothing has happened for so long. */
export class StallTimer {
  #timer: NodeJS.Timeout;
  readonly #onStall: () => void;

  constructor(timeoutMs: number, onStall: () => void) {
    this.#onStall = onStall;
    this.#timer = setTimeout(onStall, timeoutMs);
  }

  /** Something has happened. */
  touch(): void {
    this.#timer.refresh();
  }

  /** From now on another patience. */
  restart(timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onStall, timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
