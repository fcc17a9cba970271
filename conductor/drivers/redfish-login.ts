import { BmcError } from './bmc-error.ts';
import type { RedfishAccess } from './redfish-access.ts';
import type { RedfishExchange, RedfishReply } from './redfish-exchange.ts';

interface Session {
  token: string;
  /** Path of the session's resource; null: the BMC did not name it, and ends it by itself. */
  path: string | null;
}

/**
 * How requests to one BMC prove who they are: by a session that is made once and reused, or by basic authentication.
 * BMCs have few sessions: whoever makes one ends it with `end`.
 */
export class RedfishLogin {
  readonly #access: RedfishAccess;
  readonly #exchange: RedfishExchange;
  #session: Promise<Session | null> | null = null;
  #token: string | null = null;
  #withoutSessions: boolean;

  constructor(access: RedfishAccess, exchange: RedfishExchange) {
    this.#access = access;
    this.#exchange = exchange;
    this.#withoutSessions = access.authType === 'basic';
  }

  /** Headers for a request. @throws BmcError when the BMC refuses the login or cannot be reached. */
  async headers(signal: AbortSignal): Promise<Record<string, string>> {
    const { login } = this.#access;
    if (login === null) return {};
    const session = this.#withoutSessions ? null : await this.#sharedSession(signal);
    if (session) return { 'X-Auth-Token': session.token };
    return { Authorization: `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}` };
  }

  /** After a 401: forgets the session that was used, if it was one. @returns whether another login may help. */
  forget(headers: Record<string, string>): boolean {
    const token = headers['X-Auth-Token'];
    if (token === undefined) return false;
    if (token === this.#token) this.#session = null; // otherwise somebody else has renewed it already
    return true;
  }

  /** Ends the session on the BMC, if there is one. */
  async end(signal: AbortSignal): Promise<void> {
    const ending = this.#session;
    this.#session = null;
    try {
      const session = await ending;
      if (session?.path) await this.#exchange.once({ method: 'DELETE', path: session.path, headers: { 'X-Auth-Token': session.token }, signal }, [401, 404]);
    } catch {
      // the BMC ends an idle session by itself, and nothing depends on it
    }
  }

  /** Requests at the same time share one session; null: basic authentication, this time or for good. */
  async #sharedSession(signal: AbortSignal): Promise<Session | null> {
    try {
      const underWay = await this.#session;
      if (underWay) return underWay;
    } catch (error) {
      if (error instanceof BmcError) throw error; // otherwise whoever began it was stopped: we begin our own
    }
    const session = (this.#session ??= this.#begin(signal));
    const forget = (): void => {
      if (this.#session === session) this.#session = null;
    };
    session.then((made) => made ?? forget(), forget); // the caller is told; the next one tries again
    return session;
  }

  async #begin(signal: AbortSignal): Promise<Session | null> {
    const { login, authType, origin } = this.#access;
    try {
      const root = await this.#exchange.repeat(() => this.#exchange.once({ method: 'GET', path: '/redfish/v1/', signal }, [401, 403, 404]), signal, true);
      const request = { method: 'POST', path: sessionsPath(root), body: { UserName: login?.username, Password: login?.password }, signal } as const;
      const reply = await this.#exchange.repeat(() => this.#exchange.once(request), signal, true);
      if (reply.token === null) throw new BmcError(`BMC ${origin} made a session without a token`, { status: reply.status, passing: false, mayHaveActed: true });
      this.#token = reply.token;
      return { token: reply.token, path: sessionPath(reply, origin) };
    } catch (error) {
      if (!(error instanceof BmcError) || error.failure.status === null) throw error;
      if (error.failure.status === 401 || error.failure.status === 403) throw loginRefused(this.#access, error);
      if (authType === 'session') throw error;
      this.#withoutSessions = !error.failure.passing; // "no more sessions for the moment" is passing, "no such service" is not
      return null;
    }
  }
}

/** The error of a wrong user name or password. */
export const loginRefused = ({ origin, login }: RedfishAccess, { message, failure }: BmcError): BmcError =>
  new BmcError(
    login ? `BMC ${origin} refuses the login of user "${login.username}": check redfish_username and redfish_password (${message})` : `BMC ${origin} asks for a login: set redfish_username and redfish_password (${message})`,
    failure,
  );

function sessionsPath(root: RedfishReply): string {
  const links = root.body['Links'] as { Sessions?: { '@odata.id'?: unknown } } | undefined;
  const path = links?.Sessions?.['@odata.id'];
  return typeof path === 'string' ? path : '/redfish/v1/SessionService/Sessions';
}

function sessionPath(reply: RedfishReply, origin: string): string | null {
  const named = reply.location ?? reply.body['@odata.id'];
  if (typeof named !== 'string' || !URL.canParse(named, origin)) return null;
  return new URL(named, origin).pathname; // whatever host a BMC behind a gateway believes to have
}
