import type { AxiosResponse } from 'axios';
import { isObject } from './api-error.ts';
import type { KeystoneSettings } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import { CommandFailure, EXIT } from './exit-code.ts';
import { readUrl } from './settings-values.ts';

/** A token that ends so soon is not used for a request that may last. */
const RENEWAL_MARGIN_MS = 5 * 60_000;

interface Token {
  id: string;
  expiresAtMs: number;
  catalog: unknown[];
}

/** A token of Keystone v3 and the catalog that comes with it. Fetched when first needed, again before it expires or when a service refuses it. */
export class KeystoneSession {
  private readonly settings: KeystoneSettings;
  private readonly endpoint: Endpoint;
  private current: Promise<Token> | undefined;

  constructor(settings: KeystoneSettings, endpoint: Endpoint) {
    this.settings = settings;
    this.endpoint = endpoint;
  }

  /** @param renew the current one was refused. @throws CommandFailure (3) when the credentials are refused, (6) when Keystone cannot be reached or is none. */
  async token(renew: boolean, signal: AbortSignal): Promise<string> {
    return (await this.fresh(renew, signal)).id;
  }

  /** Address of the first service of this type in the catalog. @throws CommandFailure (3) when there is none. */
  async urlOf(type: 'baremetal' | 'image', root: RegExp, setting: string, signal: AbortSignal): Promise<string> {
    const { interface: wanted, region } = this.settings;
    const { catalog } = await this.fresh(false, signal);
    for (const service of catalog) {
      if (!isObject(service) || service.type !== type || !Array.isArray(service.endpoints)) continue;
      for (const endpoint of service.endpoints as unknown[]) {
        if (!isObject(endpoint) || typeof endpoint.url !== 'string' || endpoint.interface !== wanted) continue;
        if (region === undefined || endpoint.region_id === region || endpoint.region === region) return readUrl(endpoint.url, `the ${type} endpoint of the Keystone catalog`, root);
      }
    }
    const where = region === undefined ? '' : ` in region ${region}`;
    const scope = catalog.length === 0 ? ' (the catalog is empty: is a project given? OS_PROJECT_NAME)' : '';
    throw new CommandFailure(EXIT.refused, `the Keystone catalog has no ${wanted} endpoint of type "${type}"${where}${scope}; give it with ${setting}`);
  }

  private async fresh(renew: boolean, signal: AbortSignal): Promise<Token> {
    const held = await this.current;
    if (held === undefined || renew || held.expiresAtMs - Date.now() < RENEWAL_MARGIN_MS) this.current = this.fetch(signal);
    try {
      return await (this.current as Promise<Token>);
    } catch (error) {
      this.current = undefined; // the next request asks anew
      throw error;
    }
  }

  private async fetch(signal: AbortSignal): Promise<Token> {
    const { identity, scope, who } = this.settings;
    const response = await this.endpoint.send('POST', '/auth/tokens', { body: { auth: { identity, ...(scope === undefined ? {} : { scope }) } }, signal });
    const { status } = response;
    if (status === 401 || status === 403) throw new CommandFailure(EXIT.refused, `Keystone at ${this.endpoint.url} refused ${who}: ${messageIn(response)}; check OS_USERNAME, OS_PASSWORD, the project and the domains`);
    if (status === 400) throw new CommandFailure(EXIT.refused, `Keystone at ${this.endpoint.url} refused the request for a token: ${messageIn(response)}`);
    return this.tokenOf(response);
  }

  private tokenOf(response: AxiosResponse<unknown>): Token {
    const id: unknown = response.headers['x-subject-token'];
    const token = isObject(response.data) ? response.data.token : undefined;
    if (response.status !== 201 || typeof id !== 'string' || !isObject(token)) {
      throw new CommandFailure(EXIT.unavailable, `${this.endpoint.url} answered ${response.status} and not as Keystone v3 does; check ${this.endpoint.settings.setting}`);
    }
    const expiresAtMs = typeof token.expires_at === 'string' ? Date.parse(token.expires_at) : NaN;
    return { id, expiresAtMs: Number.isNaN(expiresAtMs) ? Infinity : expiresAtMs, catalog: Array.isArray(token.catalog) ? token.catalog : [] };
  }
}

function messageIn({ data, status }: AxiosResponse<unknown>): string {
  const error = isObject(data) ? data.error : undefined;
  return isObject(error) && typeof error.message === 'string' ? error.message.replace(/[.\s]+$/, '') : `it answered ${status}`;
}
