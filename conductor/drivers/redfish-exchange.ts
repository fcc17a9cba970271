import { setTimeout as sleep } from 'node:timers/promises';
import axios, { type AxiosResponse } from 'axios';
import { OperationFailedError } from '../../protocol/errors.ts';
import { createHttpClient } from '../../protocol/http-client.ts';
import { BmcError, extendedInfoOf, isPassingStatus, mayHaveActed, networkFailure } from './bmc-error.ts';
import { isResourcePath, type RedfishAccess } from './redfish-access.ts';
import type { RequestQueue } from './request-queue.ts';

/** Deadlines and pauses, in milliseconds. */
export interface RedfishOptions {
  /** For one request, its answer included. */
  requestTimeoutMs: number;
  /** Tries of a request that may be repeated. */
  attempts: number;
  /** Pause before the second try; doubled for each further one, up to the maximum. */
  retryPauseMs: number;
  maxRetryPauseMs: number;
  /** Pause between two looks at the power state, growing from the first to the maximum. */
  firstPollMs: number;
  maxPollMs: number;
  /** For what a BMC has accepted and works on (a task). */
  taskTimeoutMs: number;
  /** After how long a BMC has to show what was changed. */
  settleMs: number;
  /** A session that nobody needs for so long is ended. */
  sessionIdleMs: number;
}

export const REDFISH_DEFAULTS: RedfishOptions = { requestTimeoutMs: 30_000, attempts: 4, retryPauseMs: 500, maxRetryPauseMs: 10_000, firstPollMs: 100, maxPollMs: 2_000, taskTimeoutMs: 120_000, settleMs: 10_000, sessionIdleMs: 30_000 };

export interface RedfishRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal: AbortSignal;
}
export interface RedfishReply {
  status: number;
  /** Empty when the answer has no JSON object. */
  body: Record<string, unknown>;
  etag: string | null;
  location: string | null;
  token: string | null;
}

export interface RedfishExchange {
  /** One request, one answer: its status may be any below 300 or among `expected`. @throws BmcError */
  once(request: RedfishRequest, expected?: readonly number[]): Promise<RedfishReply>;
  /** Repeats `attempt` after passing failures, with growing pauses. With `evenIfActed: false` only when nothing can have happened. */
  repeat<T>(attempt: () => Promise<T>, signal: AbortSignal, evenIfActed: boolean): Promise<T>;
}

/** HTTP towards one BMC: in turn, with a deadline, without redirects; the password is in no message. */
export function createRedfishExchange(access: RedfishAccess, queue: RequestQueue, options: RedfishOptions): RedfishExchange {
  const client = createHttpClient({
    baseURL: access.origin,
    timeoutMs: options.requestTimeoutMs,
    headers: { Accept: 'application/json', 'OData-Version': '4.0' },
    ...(typeof access.verifyCa === 'string' ? { ca: access.verifyCa, pinned: true } : { insecure: !access.verifyCa }),
  });
  const password = access.login?.password ?? '';
  const redact = (text: string): string => (password === '' ? text : text.replaceAll(password, '******'));
  const fail = (request: RedfishRequest, text: string, failure: ConstructorParameters<typeof BmcError>[1]): BmcError => new BmcError(redact(`BMC ${access.origin}, ${request.method} ${request.path}: ${text}`), failure);

  async function send(request: RedfishRequest): Promise<AxiosResponse<unknown>> {
    const deadline = AbortSignal.timeout(options.requestTimeoutMs);
    try {
      return await client.request<unknown>({ method: request.method, url: request.path, data: request.body, headers: request.headers, signal: AbortSignal.any([request.signal, deadline]) });
    } catch (error) {
      // the error of axios is not kept as the cause: it carries the request's credentials
      if (request.signal.aborted) throw stopped(access.origin, request.signal);
      if (deadline.aborted || (axios.isAxiosError(error) && error.code === 'ECONNABORTED')) throw fail(request, `no answer within ${options.requestTimeoutMs / 1_000} s`, { status: null, passing: true, mayHaveActed: true });
      const code = axios.isAxiosError(error) ? (error.code ?? '') : '';
      const { hint, ...failure } = networkFailure(code);
      throw fail(request, `no answer (${code || 'unknown error'}${error instanceof Error ? `, ${error.message}` : ''})${hint}`, failure);
    }
  }

  return {
    async once(request, expected = []) {
      if (!isResourcePath(request.path)) throw fail(request, 'the BMC links to something that is no path of its own; it is not followed', { status: null, passing: false, mayHaveActed: false });
      const response = await queue.run(() => send(request), request.signal);
      const { status, headers } = response;
      const isObject = typeof response.data === 'object' && response.data !== null && !Array.isArray(response.data);
      const reply = { status, body: isObject ? (response.data as Record<string, unknown>) : {}, etag: headerOf(headers, 'etag'), location: headerOf(headers, 'location'), token: headerOf(headers, 'x-auth-token') };
      if (status < 300 || expected.includes(status)) {
        if (request.method === 'GET' && status === 200 && !isObject) throw fail(request, `expected a JSON object, found ${JSON.stringify(headerOf(headers, 'content-type') ?? 'nothing')}; is this a Redfish service?`, { status, passing: false, mayHaveActed: false });
        return reply;
      }
      if (status < 400) throw fail(request, `answered with a redirect (${status}) to ${reply.location ?? 'nowhere'}, which is not followed; set redfish_address to the BMC itself`, { status, passing: false, mayHaveActed: false });
      const said = extendedInfoOf(reply.body);
      throw fail(request, `answered ${status}${said ? `: ${said}` : ''}`, { status, passing: isPassingStatus(status), mayHaveActed: mayHaveActed(status), retryAfterMs: retryAfter(headerOf(headers, 'retry-after')) });
    },

    async repeat(attempt, signal, evenIfActed) {
      for (let tries = 1; ; tries += 1) {
        try {
          return await attempt();
        } catch (error) {
          if (!(error instanceof BmcError) || !error.failure.passing || tries >= options.attempts || (error.failure.mayHaveActed && !evenIfActed)) throw error;
          await pause(Math.min(error.failure.retryAfterMs ?? options.retryPauseMs * 2 ** (tries - 1), options.maxRetryPauseMs), access.origin, signal);
        }
      }
    },
  };
}

/** @throws OperationFailedError when `signal` ends the pause. */
export async function pause(durationMs: number, origin: string, signal: AbortSignal): Promise<void> {
  try {
    await sleep(durationMs, undefined, { signal });
  } catch {
    throw stopped(origin, signal); // a pause can only end early by its signal
  }
}

const stopped = (origin: string, signal: AbortSignal): OperationFailedError => new OperationFailedError(`The operation on BMC ${origin} was stopped`, {}, signal.reason);

function headerOf(headers: AxiosResponse['headers'], name: string): string | null {
  const value: unknown = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

const retryAfter = (header: string | null): number | undefined => (header !== null && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined);
