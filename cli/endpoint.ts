import type { AxiosInstance, AxiosResponse, Method, ResponseType } from 'axios';
import { isAxiosError, isCancel } from 'axios';
import { describeHttpFailure } from '../protocol/http-client.ts';
import { messageOf } from '../protocol/errors.ts';
import { CommandFailure, EXIT, InterruptedError } from './exit-code.ts';
import type { Output } from './output.ts';
import { pause } from './pause.ts';

export interface EndpointSettings {
  /** For messages: what is there (`Bare Metal API`), and where its address is set. */
  service: string;
  setting: string;
  timeoutMs: number;
  maxRetries: number;
  retryIntervalMs: number;
  /** Whether a reply is worth another try. */
  isPassing: (response: AxiosResponse<unknown>) => boolean;
  /** What the body of an error says, for the notice of a retry. */
  errorMessage?: (body: unknown) => string | undefined;
}

export interface RequestOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  responseType?: ResponseType;
  /** For bodies that stream: no limit of the whole call (the caller watches for stalls) and no second try. */
  streaming?: boolean;
}

/** Where a service is, and the headers that tell it who asks. */
export interface Connection {
  url: string;
  headers: Readonly<Record<string, string>>;
  /** Others can be had when the service refuses these (a token that has expired). */
  renewable?: boolean;
}

/** @param renew the headers given before were refused. @param signal ends the asking for them. */
export type Connect = (renew: boolean, signal: AbortSignal) => Promise<Connection>;

/** One service at one address: requests with the stock client's retries, and failures that say what to check. */
export class Endpoint {
  readonly settings: EndpointSettings;
  private readonly connect: Connect;
  private readonly http: AxiosInstance;
  private readonly output: Output;
  private readonly interrupt: AbortSignal;
  private connection: Connection | undefined;

  constructor(settings: EndpointSettings, connect: Connect, http: AxiosInstance, output: Output, interrupt: AbortSignal) {
    this.settings = settings;
    this.connect = connect;
    this.http = http;
    this.output = output;
    this.interrupt = interrupt;
  }

  /** Its address, once anything was sent. */
  get url(): string {
    return this.connection?.url ?? `the address of ${this.settings.setting}`;
  }

  /**
   * Any reply of the service, whatever its status; statuses worth it are retried first. A refused connection is
   * retried for every method, other network trouble only for GET: the request may have arrived.
   * @throws CommandFailure (6) when the service cannot be reached, InterruptedError when `signal` fires or Ctrl-C is pressed.
   */
  async send(method: Method, path: string, options: RequestOptions = {}): Promise<AxiosResponse<unknown>> {
    const { maxRetries, retryIntervalMs, isPassing } = this.settings;
    const signal = options.signal ?? this.interrupt;
    let renewed = false;
    this.connection = await this.connect(false, signal);
    for (let tried = 0; ; tried++) {
      const last = options.streaming === true || tried >= maxRetries;
      let trouble: string;
      try {
        const response = await this.sendOnce(method, path, options, signal);
        if (response.status === 401 && this.connection.renewable && !renewed && options.streaming !== true) {
          renewed = true;
          tried -= 1; // not a try of the request
          this.connection = await this.connect(true, signal);
          continue;
        }
        if (last || !isPassing(response)) return response;
        const said = this.settings.errorMessage?.(response.data);
        trouble = said ?? `the ${this.settings.service} answered ${response.status}`;
      } catch (error) {
        if (signal.aborted || isCancel(error)) throw new InterruptedError();
        if (!isAxiosError(error)) throw error;
        if (last || !isWorthRetrying(error.code, method)) throw this.unreachable(error.code, error);
        trouble = `cannot reach ${this.url} (${reasonOf(error.code, this.settings.timeoutMs) ?? error.code})`;
      }
      this.output.say(`${trouble.replace(/[.\s]+$/, '')}; trying again in ${retryIntervalMs / 1000} s (${tried + 1} of ${maxRetries})`);
      await pause(retryIntervalMs, signal);
    }
  }

  private async sendOnce(method: Method, path: string, options: RequestOptions, signal: AbortSignal): Promise<AxiosResponse<unknown>> {
    const startedAt = Date.now();
    const response = await this.http.request<unknown>({
      baseURL: this.url,
      method,
      url: path,
      data: options.body,
      headers: { Accept: 'application/json', ...(options.body === undefined ? {} : { 'Content-Type': 'application/json' }), ...this.connection?.headers, ...options.headers },
      signal,
      ...(options.responseType ? { responseType: options.responseType } : {}),
      ...(options.streaming ? { timeout: 0, maxContentLength: Infinity } : {}),
    });
    this.output.debug(`${method} ${this.url}${path}: ${response.status} in ${Date.now() - startedAt} ms`);
    return response;
  }

  private unreachable(code: string | undefined, error: unknown): CommandFailure {
    const { service, setting, timeoutMs } = this.settings;
    const { url } = this;
    const reason = reasonOf(code, timeoutMs) ?? (isAxiosError(error) ? messageOf(error) : describeHttpFailure(error));
    const advice = isCertificateTrouble(code)
      ? 'give the authority that signed it with --os-cacert FILE (OS_CACERT)'
      : `check that the service runs there and that ${setting} is right`;
    return new CommandFailure(EXIT.unavailable, `cannot reach the ${service} at ${url}: ${reason}; ${advice}`, error);
  }
}

const isWorthRetrying = (code: string | undefined, method: Method): boolean =>
  code === 'ECONNREFUSED' || (method === 'GET' && (code === 'ECONNRESET' || code === 'EPIPE' || code === 'EAI_AGAIN'));

const isCertificateTrouble = (code: string | undefined): boolean => /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(code ?? '');

function reasonOf(code: string | undefined, timeoutMs: number): string | undefined {
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name is not known';
  if (code === 'ECONNABORTED' || code === 'ETIMEDOUT') return `no answer within ${timeoutMs / 1000} s (--timeout)`;
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'the connection was cut';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'no route to the host';
  if (code === 'EPROTO') return 'it does not speak TLS (https:// where http:// is meant?)';
  if (isCertificateTrouble(code)) return `its certificate is not trusted (${code})`;
  return undefined;
}
