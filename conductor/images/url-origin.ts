/**
 * Images at http and https URLs. By node:http and not by the HTTP client: the connection has to go to the addresses that
 * were checked (a look-up of its own), a body is streamed, and only a stall ends it.
 */
import type { LookupAddress } from 'node:dns';
import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import { receiveData } from '../../image-service/download.ts';
import { withDeadline } from '../../protocol/deadline.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../protocol/errors.ts';
import type { ImageSource } from '../drivers/deployment.ts';
import { pinned, type AddressPolicy } from './address-policy.ts';
import { shownSource, type ImageOrigin } from './image-origin.ts';
import { statedFacts } from './stated-facts.ts';

export interface UrlAccess {
  addresses: AddressPolicy;
  /** PEM of further authorities that image servers' certificates may be signed by. */
  ca?: string;
  stallTimeoutMs: number;
}

/** For an answer that has no body. */
const ANSWER_TIMEOUT_MS = 30_000;

/** An image at a URL. Redirects are not followed, certificates are verified, and the size is asked for beforehand. */
export function urlOrigin(url: URL, source: ImageSource, access: UrlAccess): ImageOrigin {
  const shown = shownSource(url.href);
  return {
    describe: async (signal) => {
      const withSize = statedFacts(source, url);
      return withSize(await withDeadline(ANSWER_TIMEOUT_MS, [signal], (limited) => sizeAt(url, access, limited)));
    },
    fetch: async ({ hashAlgo }, destination, { signal, onProgress }) => {
      const request = open('GET', url, access, await access.addresses.addressesOf(url.hostname, signal)); // from here on receiveData heeds the signal
      return await receiveData(request, destination, { signal, stallTimeoutMs: access.stallTimeoutMs, onProgress, hashAlgo, sender: shown }).catch((error: unknown) => {
        if (isCertificateProblem(error)) throw certificateRefusal(shown, error);
        // without the text of the answer: what a server in our network says to us is not for whoever may name a URL
        if (error instanceof MetalshotError && typeof error.data['status'] === 'number') throw new OperationFailedError(`${shown} did not give the image: expected HTTP 200, found ${error.data['status']}`, error.data);
        throw error;
      });
    },
  };
}

/** Bytes of the data, or null when the server does not say. Servers that refuse HEAD are asked with a GET of which only the head is read. */
async function sizeAt(url: URL, access: UrlAccess, signal: AbortSignal): Promise<number | null> {
  const shown = shownSource(url.href);
  let answer = await headOf('HEAD', url, access, signal);
  if (answer.status !== 200) answer = await headOf('GET', url, access, signal);
  const { status, headers } = answer;
  const data = { source: shown, status };
  if (status >= 300 && status < 400) throw new InvalidParameterError(`${shown} answers with a redirect (HTTP ${status}), which is not followed: name the URL at which the image itself lies.`, data);
  if (status >= 500 || status === 408 || status === 429) throw new TemporarilyUnavailableError(`The image at ${shown} cannot be had now: HTTP ${status}.`, data);
  if (status !== 200) throw new InvalidParameterError(`There is no image to be had at ${shown}: expected HTTP 200, found ${status}.`, data);
  const length = Number(headers['content-length'] ?? NaN);
  return Number.isSafeInteger(length) && headers['content-encoding'] === undefined ? length : null;
}

async function headOf(method: 'HEAD' | 'GET', url: URL, access: UrlAccess, signal: AbortSignal): Promise<{ status: number; headers: IncomingMessage['headers'] }> {
  const shown = shownSource(url.href);
  try {
    const request = open(method, url, access, await access.addresses.addressesOf(url.hostname, signal), signal);
    return await new Promise((resolve, reject) => {
      request.on('error', reject);
      request.once('response', (response: IncomingMessage) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers });
        request.destroy();
      });
      request.end();
    });
  } catch (error) {
    if (error instanceof MetalshotError) throw error;
    if (isCertificateProblem(error)) throw certificateRefusal(shown, error);
    throw new TemporarilyUnavailableError(`The server of ${shown} cannot be reached: ${messageOf(error)}`, { source: shown }, error);
  }
}

function open(method: 'HEAD' | 'GET', url: URL, { ca }: UrlAccess, addresses: readonly LookupAddress[], signal?: AbortSignal): ClientRequest {
  const options = { method, agent: false as const, lookup: pinned(addresses), signal, headers: { Accept: '*/*', 'Accept-Encoding': 'identity', 'User-Agent': 'metalshot' } };
  return url.protocol === 'https:' ? requestHttps(url, { ...options, ca: ca === undefined ? undefined : authoritiesWith(ca) }) : requestHttp(url, options);
}

/** The public authorities that Node.js brings along, and these, which by themselves would take their place. */
export const authoritiesWith = (ca: string): string[] => [...rootCertificates, ca];

const isCertificateProblem = (error: unknown): boolean => /CERT|SIGNATURE|ISSUER|ALTNAME/.test(String((error as NodeJS.ErrnoException | undefined)?.code ?? ''));
const certificateRefusal = (shown: string, error: unknown): InvalidParameterError => new InvalidParameterError(`The server of ${shown} has a certificate that cannot be trusted: ${messageOf(error)}. Name a file with its authority in deploy.ca_file.`, { source: shown }, error);
