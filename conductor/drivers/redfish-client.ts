import { BmcError } from './bmc-error.ts';
import type { RedfishAccess } from './redfish-access.ts';
import { createRedfishExchange, type RedfishExchange, type RedfishOptions, type RedfishReply, type RedfishRequest } from './redfish-exchange.ts';
import { loginRefused, RedfishLogin } from './redfish-login.ts';
import { awaitTask, lookAtTask, monitorOf } from './redfish-task.ts';
import type { RequestQueue } from './request-queue.ts';

/** A conductor that stops does not wait longer for a BMC to end a session. */
const END_SESSION_TIMEOUT_MS = 5_000;

/** Requests to one BMC with one login: repeated after passing failures where that is safe, the session kept while it is of use. */
export class RedfishClient {
  readonly access: RedfishAccess;
  readonly options: RedfishOptions;
  readonly #exchange: RedfishExchange;
  readonly #login: RedfishLogin;
  #underWay = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #ending: Promise<void> = Promise.resolve();

  constructor(access: RedfishAccess, queue: RequestQueue, options: RedfishOptions) {
    this.access = access;
    this.options = options;
    this.#exchange = createRedfishExchange(access, queue, options);
    this.#login = new RedfishLogin(access, this.#exchange);
  }

  /** @throws BmcError */
  get(path: string, signal: AbortSignal): Promise<RedfishReply> {
    return this.#request({ method: 'GET', path, signal }, true);
  }

  /**
   * Returns when the BMC has done it, also where it only accepts it at first.
   * @param etag sent as If-Match when known.
   * @throws BmcError; status 412: the resource is no longer the one that was read.
   */
  patch(path: string, body: unknown, etag: string | null, signal: AbortSignal, { untilDone = true } = {}): Promise<RedfishReply> {
    return this.#done(this.#request({ method: 'PATCH', path, body, headers: etag === null ? {} : { 'If-Match': etag }, signal }, true), untilDone, signal);
  }

  /** The same; sent again only when the first one cannot have had an effect. @throws BmcError; `failure.mayHaveActed` tells whether the rest is open. */
  post(path: string, body: unknown, signal: AbortSignal, { untilDone = true } = {}): Promise<RedfishReply> {
    return this.#done(this.#request({ method: 'POST', path, body, signal }, false), untilDone, signal);
  }

  /** Looks at work that goes on after a request that was not awaited. @throws TaskFailedError when it has failed; BmcError. */
  look(monitor: string, signal: AbortSignal): Promise<'under way' | 'done'> {
    return lookAtTask(monitor, this.access.origin, (path) => this.get(path, signal));
  }

  /** Ends the session on the BMC. The client can still be used: it then makes a new one. */
  async close(): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#endSession();
    await this.#ending;
  }

  async #done(request: Promise<RedfishReply>, untilDone: boolean, signal: AbortSignal): Promise<RedfishReply> {
    const reply = await request;
    const monitor = untilDone ? monitorOf(reply, this.access.origin) : null;
    if (monitor !== null) await awaitTask(monitor, this.access.origin, this.options, (path) => this.get(path, signal), signal);
    return reply;
  }

  async #request(request: RedfishRequest, evenIfActed: boolean): Promise<RedfishReply> {
    clearTimeout(this.#idleTimer);
    this.#underWay += 1;
    try {
      return await this.#authorized(request, evenIfActed);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#idleTimer = setTimeout(() => this.#endSession(), this.options.sessionIdleMs).unref();
    }
  }

  async #authorized(request: RedfishRequest, evenIfActed: boolean): Promise<RedfishReply> {
    const { signal } = request;
    for (let mayRenew = true; ; mayRenew = false) {
      const login = await this.#login.headers(signal);
      try {
        return await this.#exchange.repeat(() => this.#exchange.once({ ...request, headers: { ...request.headers, ...login } }), signal, evenIfActed);
      } catch (error) {
        if (!(error instanceof BmcError) || error.failure.status !== 401) throw error;
        const hasRunOut = this.#login.forget(login); // or the BMC has restarted: once more with a new session
        if (!hasRunOut || !mayRenew) throw loginRefused(this.access, error);
      }
    }
  }

  #endSession(): void {
    this.#ending = this.#login.end(AbortSignal.timeout(Math.min(this.options.requestTimeoutMs, END_SESSION_TIMEOUT_MS)));
  }
}
