import type { AxiosResponse, Method } from 'axios';
import type { JsonObject } from '../protocol/json.ts';
import { MAX_MICROVERSION, MAX_VERSION_HEADER, MIN_VERSION_HEADER, VERSION_HEADER, formatMicroversion } from '../protocol/microversion.ts';
import { failureOfReply, isObject } from './api-error.ts';
import type { Endpoint } from './endpoint.ts';
import { CommandFailure, EXIT, UsageError } from './exit-code.ts';

export interface ApiRequest {
  body?: unknown;
  signal?: AbortSignal;
  /** The request has a meaning only from this microversion on. */
  needs?: { minor: number; feature: string };
}

/** Escaped; commas and colons stay readable, as the stock client sends them. */
const escape = (text: string): string => encodeURIComponent(text).replaceAll('%2C', ',').replaceAll('%3A', ':');

/** A name or id as one segment of a path. @throws UsageError for those that would lead to another path. */
export function segment(ident: string): string {
  if (['', '.', '..'].includes(ident.trim())) throw new UsageError(`"${ident}" is no name or id`);
  return escape(ident);
}

/** `path` with the given query; undefined values are left out. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${escape(String(value))}`]));
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/**
 * The Bare Metal API: speaks the newest microversion that both sides know, unless one was asked for; turns error
 * replies into CommandFailure.
 */
export class ApiClient {
  private readonly endpoint: Endpoint;
  private readonly asked: number | undefined;
  private minor: number;

  /** @param asked minor number of the only microversion to speak; undefined: negotiate. */
  constructor(endpoint: Endpoint, asked?: number) {
    this.endpoint = endpoint;
    this.asked = asked;
    this.minor = asked ?? MAX_MICROVERSION;
  }

  /** The body of a successful reply. */
  async request(method: Method, path: string, request: ApiRequest = {}): Promise<unknown> {
    let response = await this.send(method, path, request);
    if (response.status === 406 && this.asked === undefined) {
      const maximum = await this.readMaximum(response, request.signal);
      if (maximum !== undefined && maximum < this.minor) {
        this.minor = maximum;
        response = await this.send(method, path, request);
      }
    }
    if (response.status >= 200 && response.status < 300) return response.data;
    throw failureOfReply(response, `${method} ${this.endpoint.url}${path}`, this.endpoint.settings.setting);
  }

  /** A reply that must be an object. */
  async getObject(path: string, request: Omit<ApiRequest, 'body'> = {}): Promise<JsonObject> {
    return this.objectOf(await this.request('GET', path, request), path);
  }

  /** All items of a collection, page after page; at most `limit` when it is given. */
  async list(path: string, collection: string, limit?: number, needs?: ApiRequest['needs']): Promise<JsonObject[]> {
    const items: JsonObject[] = [];
    const seen = new Set<string>();
    for (let page: string | undefined = path; page !== undefined; ) {
      if (seen.has(page)) throw new CommandFailure(EXIT.unavailable, `the service repeats a page of ${path}: its "next" links go round in a circle`);
      seen.add(page);
      const reply: JsonObject = await this.getObject(page, { needs });
      const found = reply[collection];
      if (!Array.isArray(found)) throw this.notTheApi(page);
      items.push(...found.filter(isObject).map((item) => item as JsonObject));
      if (limit !== undefined && items.length >= limit) return items.slice(0, limit);
      page = typeof reply.next === 'string' ? pathOfLink(reply.next, '/v1/') : undefined;
    }
    return items;
  }

  /** The body of a reply as an object. @throws CommandFailure (6) when it is something else. */
  objectOf(body: unknown, path: string): JsonObject {
    if (!isObject(body)) throw this.notTheApi(path);
    return body as JsonObject;
  }

  private async send(method: Method, path: string, { body, signal, needs }: ApiRequest): Promise<AxiosResponse<unknown>> {
    if (needs && this.minor < needs.minor) {
      const why = this.asked === undefined ? `the service at ${this.endpoint.url} knows up to ${formatMicroversion(this.minor)}` : `${formatMicroversion(this.minor)} was asked for`;
      throw new CommandFailure(EXIT.refused, `${needs.feature} needs API version ${formatMicroversion(needs.minor)}, but ${why}`);
    }
    return this.endpoint.send(method, path, { body, signal, headers: { [VERSION_HEADER]: formatMicroversion(this.minor) } });
  }

  /** Minor number of the service's newest version, from the 406 itself or from `GET /v1` without a version. */
  private async readMaximum(refusal: AxiosResponse<unknown>, signal?: AbortSignal): Promise<number | undefined> {
    const source = minorOf(refusal, MAX_VERSION_HEADER) === undefined ? await this.endpoint.send('GET', '/v1', { signal }) : refusal;
    const minimum = minorOf(source, MIN_VERSION_HEADER);
    if (minimum !== undefined && minimum > MAX_MICROVERSION) {
      throw new CommandFailure(EXIT.refused, `the service speaks API ${formatMicroversion(minimum)} and later; this client knows up to ${formatMicroversion(MAX_MICROVERSION)}`);
    }
    return minorOf(source, MAX_VERSION_HEADER);
  }

  private notTheApi(path: string): CommandFailure {
    return new CommandFailure(EXIT.unavailable, `GET ${this.endpoint.url}${path} did not answer as a Bare Metal API does; check ${this.endpoint.settings.setting}`);
  }
}

function minorOf(response: AxiosResponse<unknown>, header: string): number | undefined {
  const value: unknown = response.headers[header.toLowerCase()];
  const match = typeof value === 'string' ? /^1\.(\d+)$/.exec(value) : null;
  return match ? Number(match[1]) : undefined;
}

/**
 * Path and query of a `next` link, from the version's segment on. Never its host: that is what the service believes to be
 * called, and credentials must not follow it elsewhere.
 */
export function pathOfLink(link: string, root: '/v1/' | '/v2/'): string {
  const { pathname, search } = new URL(link, 'http://service.invalid');
  const start = pathname.lastIndexOf(root);
  if (start < 0) throw new CommandFailure(EXIT.unavailable, `the service's "next" link does not lead below ${root}: ${link}`);
  return `${pathname.slice(start)}${search}`;
}
