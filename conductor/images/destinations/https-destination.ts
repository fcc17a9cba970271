/** `https:` destinations. Redirects are followed nowhere: data and credentials go to the server that the configuration names, or to none. */
import { Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AxiosInstance, AxiosResponse } from 'axios';
import { receiveData } from '../../../image-service/download.ts';
import { openExchange } from '../../../image-service/exchange.ts';
import { sendData } from '../../../image-service/upload.ts';
import { withDeadline } from '../../../protocol/deadline.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { createHttpClient, describeHttpFailure } from '../../../protocol/http-client.ts';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { NOTE_ENDING, NOTE_LIMIT_BYTES, TakenError, type Destination, type Found } from './destination.ts';
import { ExactLength } from './exact-length.ts';

export interface HttpsPlace {
  /** What the URL has to begin with, up to the end of a part of its path. */
  prefix: string;
  /** PEM of the only authority that is trusted. */
  ca?: string;
  /** The `Authorization` header, read anew for each request; undefined: none. */
  authorization(): Promise<string | undefined>;
}

export interface TransferTimes {
  /** For a request without image data. */
  timeoutMs: number;
  /** Without a byte for so long a transfer is given up. */
  stallTimeoutMs: number;
  /** For the answer to an upload whose data have all been sent. */
  answerTimeoutMs: number;
}

const ABSENT = [404, 410];
/** Answers of a server that lets us write but not read. */
const READ_REFUSED = [401, 403, 405, 501];

/** @throws InvalidParameterError unless the URL lies below one of the prefixes. */
export function httpsDestination(url: URL, places: readonly HttpsPlace[], times: TransferTimes): Destination {
  const place = places.find(({ prefix }) => isBelow(new URL(prefix), url));
  if (place === undefined) throw new InvalidParameterError(`No snapshot is written to ${url.href}: ${places.length === 0 ? 'snapshot.https_destinations names no place.' : 'it is below no prefix of snapshot.https_destinations.'}`, { destination: url.href });
  return new HttpsDestination(url, place, times);
}

function isBelow(prefix: URL, { origin, pathname }: URL): boolean {
  return origin === prefix.origin && pathname.startsWith(prefix.pathname.endsWith('/') ? prefix.pathname : `${prefix.pathname}/`);
}

class HttpsDestination implements Destination {
  /** Some servers do, and none tells. */
  readonly writesInPlace = true;
  readonly #url: string;
  readonly #place: HttpsPlace;
  readonly #times: TransferTimes;
  readonly #http: AxiosInstance;

  constructor(url: URL, place: HttpsPlace, times: TransferTimes) {
    this.#url = url.href;
    this.#place = place;
    this.#times = times;
    this.#http = createHttpClient({ timeoutMs: times.timeoutMs, ca: place.ca, maxReplyBytes: NOTE_LIMIT_BYTES });
  }

  async find(signal: AbortSignal): Promise<Found | null> {
    const { status, headers } = await this.#call('HEAD', this.#url, { signal });
    if (ABSENT.includes(status)) return null;
    if (status !== 200) throw this.#refusal('HEAD', status);
    const length = Number(headers['content-length'] ?? Number.NaN);
    const version = [headers['etag'], headers['last-modified']].filter((one) => typeof one === 'string').join(' ');
    return { sizeBytes: Number.isSafeInteger(length) ? length : -1, version: version === '' ? null : version };
  }

  /** What failed after some of it was sent may lie there half-made: it was not there before, so it is ours to remove. */
  async write(data: Readable, sizeBytes: number, options: Parameters<Destination['write']>[2]): Promise<'unproven'> {
    const { signal } = options;
    if ((await this.find(signal)) !== null) throw new TakenError(this.#url);
    const answer = await this.#send(data, sizeBytes, options).catch((error: unknown) => (error instanceof Error ? error : new Error(messageOf(error))));
    if (!(answer instanceof Error) && [200, 201, 204].includes(answer.status)) return 'unproven';
    if (!(answer instanceof Error) && answer.status === 412) throw new TakenError(this.#url);
    if (!(answer instanceof Error) && answer.status >= 300 && answer.status < 500) throw this.#refusal('PUT', answer.status);
    if ((await this.#endBroken(sizeBytes, signal)) === 'whole') return 'unproven';
    throw answer instanceof Error
      ? new OperationFailedError(`the upload to ${this.#url} failed: ${messageOf(answer)}`, { retryable: !signal.aborted, ...(answer instanceof MetalshotError ? answer.data : {}) }, answer)
      : this.#refusal('PUT', answer.status);
  }

  /** After a PUT that did not end well, perhaps only by the loss of its answer. A server that can not be asked now is asked by the next try. */
  async #endBroken(sizeBytes: number, upload: AbortSignal): Promise<'whole' | 'broken'> {
    return await withDeadline(this.#times.timeoutMs, [], async (signal) => {
      const left = await this.find(signal).catch(() => null);
      if (left?.sizeBytes === sizeBytes && !upload.aborted) return 'whole';
      if (left !== null) await this.remove(signal).catch(() => null); // what stays is found, and told of, by the next try or the clean-up
      return 'broken';
    });
  }

  async digest(signal: AbortSignal): Promise<string> {
    try {
      return (await this.read(new Writable({ write: (_chunk, _encoding, done) => done() }), { signal, hashAlgo: IMAGE_HASH_ALGO, onProgress: () => undefined })).hashValue;
    } catch (error) {
      if (!(error instanceof MetalshotError) || !READ_REFUSED.includes(Number(error.data['status']))) throw error;
      return await this.#statedDigest(signal);
    }
  }

  async read(destination: Writable, { signal, hashAlgo, onProgress }: Parameters<Destination['read']>[1]): Promise<{ sizeBytes: number; hashValue: string }> {
    const headers = { ...(await this.#credentials()), Accept: '*/*', 'Accept-Encoding': 'identity' };
    return await receiveData(this.#open('GET', headers), destination, { signal, hashAlgo, onProgress, stallTimeoutMs: this.#times.stallTimeoutMs, sender: this.#url }).catch((error: unknown) => {
      if (error instanceof MetalshotError && typeof error.data['status'] === 'number' && !READ_REFUSED.includes(error.data['status'])) throw this.#refusal('GET', error.data['status']);
      if (error instanceof MetalshotError || signal.aborted) throw error;
      throw new TemporarilyUnavailableError(`${this.#url} could not be read: ${messageOf(error)}`, { retryable: true }, error);
    });
  }

  /** A server that has taken less than what was announced is to keep nothing of it. What it left in view, `write` has removed, or whoever knows that it is ours does. */
  clear(): Promise<void> {
    return Promise.resolve();
  }

  remove(signal: AbortSignal): Promise<void> {
    return this.#remove(this.#url, signal);
  }

  async readNote(signal: AbortSignal): Promise<string | null> {
    const { status, data } = await this.#call('GET', this.#url + NOTE_ENDING, { signal });
    if (ABSENT.includes(status) || READ_REFUSED.includes(status)) return null; // where it can not be read it says nothing
    if (status !== 200) throw this.#refusal('GET', status);
    return data;
  }

  async writeNote(text: string, signal: AbortSignal): Promise<void> {
    const { status } = await this.#call('PUT', this.#url + NOTE_ENDING, { signal, body: text, headers: { 'Content-Type': 'application/json', 'If-None-Match': '*' } });
    if (status === 412) throw new TakenError(this.#url + NOTE_ENDING);
    if (![200, 201, 204].includes(status)) throw this.#refusal('PUT', status);
  }

  async #remove(url: string, signal: AbortSignal): Promise<void> {
    const { status } = await this.#call('DELETE', url, { signal });
    if (![200, 202, 204, ...ABSENT].includes(status)) throw this.#refusal('DELETE', status);
  }

  async #send(data: Readable, sizeBytes: number, { signal, onProgress, answerTimeoutMs = this.#times.answerTimeoutMs }: Parameters<Destination['write']>[2]): Promise<{ status: number }> {
    const headers = { ...(await this.#credentials()), 'Content-Type': 'application/octet-stream', 'Content-Length': sizeBytes, 'If-None-Match': '*', Expect: '100-continue' };
    const exact = new ExactLength(sizeBytes, () => undefined);
    const open = (): Readable => {
      pipeline(data, exact, { signal }).catch((error: Error) => exact.destroy(error));
      return exact;
    };
    try {
      return await sendData(this.#open('PUT', headers), { name: 'the image', open }, sizeBytes, { signal, onProgress, stallTimeoutMs: this.#times.stallTimeoutMs, answerTimeoutMs, receiver: this.#url });
    } finally {
      data.destroy();
    }
  }

  /** RFC 9530: the server's own statement about what it would answer. */
  async #statedDigest(signal: AbortSignal): Promise<string> {
    const { headers } = await this.#call('HEAD', this.#url, { signal, headers: { 'Want-Repr-Digest': 'sha-512=10' } });
    const stated = /(?:^|,)\s*sha-512=:([A-Za-z0-9+/=]+):/.exec(String(headers['repr-digest'] ?? ''))?.[1];
    if (stated === undefined) throw new OperationFailedError(`${this.#url} can not be proven to hold the image: the server neither lets it be read back nor states its sha-512 in Repr-Digest (RFC 9530)`, { retryable: false });
    return Buffer.from(stated, 'base64').toString('hex');
  }

  #open(method: 'GET' | 'PUT', headers: Record<string, string | number>): ReturnType<typeof openExchange> {
    return openExchange({ url: this.#url, ca: this.#place.ca }, method, '', headers);
  }

  async #credentials(): Promise<Record<string, string>> {
    const authorization = await this.#place.authorization();
    return authorization === undefined ? {} : { Authorization: authorization };
  }

  async #call(method: 'GET' | 'HEAD' | 'PUT' | 'DELETE', url: string, { signal, body, headers = {} }: { signal: AbortSignal; body?: string; headers?: Record<string, string> }): Promise<AxiosResponse<string>> {
    try {
      return await this.#http.request<string>({ method, url, signal, data: body === undefined ? undefined : Buffer.from(body), responseType: 'text', transformResponse: (text: string) => text, headers: { 'Accept-Encoding': 'identity', ...(await this.#credentials()), ...headers } });
    } catch (error) {
      if (signal.aborted) throw new OperationFailedError(`${method} ${url} was stopped on request`, { stopped: true }, signal.reason);
      throw new TemporarilyUnavailableError(`The server of ${url} cannot be reached: ${describeHttpFailure(error)}`, { retryable: true }, error);
    }
  }

  /** What an unexpected status means. */
  #refusal(method: string, status: number): MetalshotError {
    const says = `${this.#url} answers ${method} with HTTP ${status}`;
    if (status >= 300 && status < 400) return new InvalidParameterError(`${says}, a redirect, which is not followed: name the URL at which the server itself takes the image.`, { status, retryable: false });
    if (status >= 500 || status === 408 || status === 429) return new TemporarilyUnavailableError(`${says}.`, { status, retryable: true });
    return new InvalidParameterError(`${says}: HEAD has to tell whether there is something, PUT to store it, and DELETE to remove it; check the credentials of its prefix in snapshot.https_destinations.`, { status, retryable: false });
  }
}
