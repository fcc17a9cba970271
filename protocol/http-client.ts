import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import axios, { type AxiosInstance } from 'axios';

export interface HttpClientOptions {
  baseURL?: string;
  /** Milliseconds for a whole request, its body included. Required: every external call has a deadline. */
  timeoutMs: number;
  headers?: Record<string, string>;
  /** PEM of the only authority (or the very certificate) that is trusted for https. */
  ca?: string;
  /** Skip the check of the host name when the peer shows the very certificate of `ca`: self-signed ones are reached by address. */
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
  const tls = { rejectUnauthorized: !options.insecure, ...(options.pinned ? pinnedTls(options.ca ?? '') : { ca: options.ca }) };
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

/** Options of node:https with which a peer has to show the very certificate of this PEM, whatever its name, or one that the PEM's has signed. */
export const pinnedTls = (pem: string): { ca: string; checkServerIdentity: (host: string, shown: PeerCertificate) => Error | undefined } => ({
  ca: pem,
  checkServerIdentity: (host, shown) => (isAmong(pem, shown) ? undefined : checkServerIdentity(host, shown)),
});

function isAmong(pem: string, shown: PeerCertificate): boolean {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return certificates.some((certificate) => Buffer.from(certificate.replace(/-----[^-]+-----|\s/g, ''), 'base64').equals(shown.raw));
}

/** What a failed request is called in an error: never its headers or body, which may hold secrets. */
export function describeHttpFailure(error: unknown): string {
  if (axios.isAxiosError(error)) return `${(error.config?.method ?? 'request').toUpperCase()} ${error.config?.baseURL ?? ''}${stripQuery(error.config?.url ?? '')}: ${error.code ?? ''} ${error.message}`.trim();
  return error instanceof Error ? error.message : String(error);
}

const stripQuery = (url: string): string => url.replace(/\?.*$/, '');
