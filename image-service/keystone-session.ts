import type { AxiosInstance, AxiosResponse } from 'axios';
import { OperationFailedError, TemporarilyUnavailableError } from '../protocol/errors.ts';
import { createHttpClient, describeHttpFailure } from '../protocol/http-client.ts';
import { keystoneTokenSchema, type KeystoneToken } from '../protocol/keystone.ts';
import { endpointOf, type EndpointChoice } from './keystone-catalog.ts';
import { authenticationRequest, describeCredentials, keysToCheck, type KeystoneCredentials } from './keystone-credentials.ts';
import type { TokenProvider } from './token-provider.ts';

export interface KeystoneOptions extends EndpointChoice {
  /** With or without `/v3`. */
  authUrl: string;
  credentials: KeystoneCredentials;
  /** The section of the configuration that errors name. */
  configKey: string;
  /** PEM of the only authority that is trusted for https. */
  ca?: string;
  /** Milliseconds for one request to Keystone. */
  timeoutMs: number;
}

interface OwnToken {
  id: string;
  document: KeystoneToken;
  /** By our own clock: Keystone's may be another. */
  endsAt: number;
  lifeMs: number;
}

/** What a request without image data may need of its token. */
const SHORT_LIFE_MS = 120_000;

/**
 * Our standing with a Keystone v3: a token that is made when it is first needed, kept, and made anew before it ends or when a
 * service rejects it. Requests at once share one authentication. Errors: TemporarilyUnavailableError when Keystone cannot be
 * reached or fails, OperationFailedError when it refuses us or is no Keystone; no error holds a secret.
 */
export class KeystoneSession implements TokenProvider {
  readonly #options: KeystoneOptions;
  readonly #http: AxiosInstance;
  #token: OwnToken | undefined;
  #making: Promise<OwnToken> | undefined;

  constructor(options: KeystoneOptions) {
    this.#options = options;
    this.#http = createHttpClient({ baseURL: normalizeAuthUrl(options.authUrl), timeoutMs: options.timeoutMs, ca: options.ca });
  }

  async token(minimumLifeMs = SHORT_LIFE_MS): Promise<string> {
    return (await this.#own(minimumLifeMs)).id;
  }

  async projectId(): Promise<string | null> {
    return (await this.#own(0)).document.project?.id ?? null;
  }

  /** URL of a service in the catalog. */
  async endpoint(serviceType: string): Promise<string> {
    return endpointOf((await this.#own(0)).document, serviceType, this.#options);
  }

  reject(token: string): void {
    if (this.#token?.id === token) this.#token = undefined;
  }

  /** What Keystone knows of somebody else's token; null when it is none, or not any more. */
  async inspect(token: string): Promise<KeystoneToken | null> {
    const reply = await this.#ask(token);
    const { status } = reply;
    if (status === 200) return this.#parse(reply);
    if (status === 404) return null;
    // for example one of the very second in which our user's password was changed
    if (status === 401) throw new TemporarilyUnavailableError(`Keystone rejects the token that it has just made for us (${this.#options.configKey})`, { status, retryable: true });
    if (status === 403) throw new OperationFailedError(`Keystone does not let us ask about tokens (${this.#options.configKey}): ${describeCredentials(this.#options.credentials)} needs role service or admin`, { status });
    throw this.#unexpected(reply, 'GET /auth/tokens');
  }

  /** Once more with a new token of our own when Keystone rejects the one we have. */
  async #ask(subject: string): Promise<AxiosResponse<unknown>> {
    const own = await this.token();
    const ask = (id: string): Promise<AxiosResponse<unknown>> => this.#request({ method: 'GET', url: '/auth/tokens?nocatalog', headers: { 'X-Auth-Token': id, 'X-Subject-Token': subject } });
    const reply = await ask(own);
    if (reply.status !== 401) return reply;
    this.reject(own);
    return ask(await this.token());
  }

  /** More than half of a token's life is never asked for: a new one would be no better for long. */
  async #own(minimumLifeMs: number): Promise<OwnToken> {
    const known = this.#token;
    if (known && known.endsAt - Date.now() > Math.min(minimumLifeMs, known.lifeMs / 2)) return known;
    this.#making ??= this.#make()
      .then((made) => (this.#token = made))
      .finally(() => (this.#making = undefined));
    return this.#making;
  }

  async #make(): Promise<OwnToken> {
    const { credentials, configKey } = this.#options;
    const askedAt = Date.now();
    const reply = await this.#request({ method: 'POST', url: '/auth/tokens', data: await authenticationRequest(credentials) });
    if (isRefusal(reply)) throw new OperationFailedError(`Keystone at ${this.#options.authUrl} does not accept ${describeCredentials(credentials)}: ${keysToCheck(credentials, configKey)}`, { status: reply.status });
    const id: unknown = reply.headers['x-subject-token'];
    if (reply.status !== 201 || typeof id !== 'string' || id === '') throw this.#unexpected(reply, 'POST /auth/tokens');
    const document = this.#parse(reply);
    const lifeMs = Math.max(0, Date.parse(document.expires_at) - Date.parse(document.issued_at));
    return { id, document, lifeMs, endsAt: askedAt + lifeMs };
  }

  async #request(request: { method: 'GET' | 'POST'; url: string; headers?: Record<string, string>; data?: object }): Promise<AxiosResponse<unknown>> {
    try {
      return await this.#http.request<unknown>({ ...request, headers: { Accept: 'application/json', ...request.headers } });
    } catch (error) {
      // without the cause: the error of the HTTP client carries the request, with its secrets
      throw new TemporarilyUnavailableError(`Keystone cannot be reached (${this.#options.configKey}.auth_url): ${describeHttpFailure(error)}`, { status: null, retryable: true });
    }
  }

  #parse(reply: AxiosResponse<unknown>): KeystoneToken {
    const parsed = keystoneTokenSchema.safeParse(reply.data);
    if (!parsed.success) throw this.#unexpected(reply, `${(reply.config.method ?? '').toUpperCase()} /auth/tokens`);
    return parsed.data.token;
  }

  #unexpected({ status }: AxiosResponse<unknown>, request: string): OperationFailedError | TemporarilyUnavailableError {
    const { authUrl, configKey } = this.#options;
    if (status >= 500 || status === 408 || status === 429) return new TemporarilyUnavailableError(`Keystone at ${authUrl} failed: HTTP ${status} to ${request}`, { status, retryable: true });
    return new OperationFailedError(`Expected a Keystone v3 at ${authUrl}, found HTTP ${status} without a token document in answer to ${request}: check ${configKey}.auth_url`, { status });
  }
}

/** An application credential that is gone is 404, in Keystone's own words. */
const isRefusal = ({ status, data }: AxiosResponse<unknown>): boolean => status === 401 || status === 403 || (status === 404 && (data as { error?: { code?: unknown } } | null)?.error?.code === 404);
const normalizeAuthUrl = (url: string): string => url.replace(/\/+$/, '').replace(/(\/v3)?$/, '/v3');
