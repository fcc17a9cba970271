import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosInstance } from 'axios';

export interface HttpClientOptions {
  baseURL?: string;
  /** Milliseconds for a whole request, its body included. Required: every external call has a deadline. */
  timeoutMs: number;
  headers?: Record<string, string>;
  /** PEM of the only authority (or the very certificate) that is trusted for https. */
  ca?: string;
  /** Skip the check of the host name, for a pinned self-signed certificate whose peer is reached by address. */
  pinned?: boolean;
  /** Trust any certificate: only ever by explicit configuration. */
  insecure?: boolean;
  /** Bytes of a reply that is read into memory. Default 16 MiB. */
  maxReplyBytes?: number;
}

/**
 * The one way to make an HTTP call: a deadline, no redirects, a limited reply, any status returned (never thrown), so
 * that each caller decides what a status means. Connections are not kept alive: peers here restart and sleep.
 */
export function createHttpClient(options: HttpClientOptions): AxiosInstance {
  const tls = {
    ca: options.ca,
    rejectUnauthorized: !options.insecure,
    ...(options.pinned ? { checkServerIdentity: () => undefined } : {}),
  };
  return axios.create({
    baseURL: options.baseURL,
    timeout: options.timeoutMs,
    headers: options.headers,
    maxRedirects: 0,
    maxBodyLength: Infinity,
    maxContentLength: options.maxReplyBytes ?? 16 * 1024 * 1024,
    validateStatus: () => true,
    proxy: false,
    httpAgent: new HttpAgent({ keepAlive: false }),
    httpsAgent: new HttpsAgent({ keepAlive: false, ...tls }),
  });
}

/** What a failed request is called in an error: never its headers or body, which may hold secrets. */
export function describeHttpFailure(error: unknown): string {
  if (axios.isAxiosError(error)) return `${(error.config?.method ?? 'request').toUpperCase()} ${error.config?.baseURL ?? ''}${stripQuery(error.config?.url ?? '')}: ${error.code ?? ''} ${error.message}`.trim();
  return error instanceof Error ? error.message : String(error);
}

const stripQuery = (url: string): string => url.replace(/\?.*$/, '');
