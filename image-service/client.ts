import { setTimeout as pause } from 'node:timers/promises';
import type { Writable } from 'node:stream';
import type { AxiosInstance, AxiosResponse, Method } from 'axios';
import { ConflictError, InvalidParameterError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../protocol/errors.ts';
import { createHttpClient, describeHttpFailure } from '../protocol/http-client.ts';
import { IMAGE_PATCH_TYPE, type Image, type ImageData } from '../protocol/image.ts';
import type { Logger } from '../protocol/log.ts';
import { receiveData, type Downloaded } from './download.ts';
import { readableError } from './error-text.ts';
import { digestOf } from './image-digest.ts';
import { openExchange } from './exchange.ts';
import { imagePath, normalizeEndpoint } from './image-path.ts';
import type { TokenProvider } from './token-provider.ts';
import { sendData } from './upload.ts';
import { verifyUploaded, type ExpectedImage } from './verify-uploaded.ts';
import { uploadFailure, type StatusAfter } from './upload-failure.ts';

export interface GlanceClientOptions {
  /** Endpoint of a Glance v2 API, with or without `/v2`; as a function when it is only known once it is asked for, as in a catalog. */
  url: string | (() => Promise<string>);
  token: TokenProvider;
  /** Milliseconds for a request that carries no image data. */
  timeoutMs: number;
  /** Milliseconds without a byte of data after which an upload or download is given up. Default 120 s. */
  stallTimeoutMs?: number;
  /** Milliseconds for the answer to an upload whose data has all been sent. Default 600 s: object stores assemble then. */
  answerTimeoutMs?: number;
  /** PEM of the only authority that is trusted for https. */
  ca?: string;
  /** Trust any certificate: only ever by explicit configuration. */
  insecure?: boolean;
  log: Logger;
}

export interface TransferOptions<S = AbortSignal | undefined> {
  signal: S;
  onProgress?: (bytes: number) => void;
}

/** A name as a step of a JSON pointer (RFC 6901). */
const pointerStep = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
/** How often an image is read while it is waited for. */
const POLL_INTERVAL_MS = 200;
const PAGE_SIZE = 100;
/** How long the token of an upload or download should live. */
const TRANSFER_TOKEN_LIFE_MS = 4 * 3_600_000;

/**
 * A client of the image service (Glance API v2). Every method may be called again. Errors: InvalidParameterError for a
 * malformed id or what the service calls a bad request, NotFoundError, ConflictError, TemporarilyUnavailableError when
 * the service cannot be reached or fails, OperationFailedError for everything else; the status is in `data.status`.
 */
export class GlanceClient {
  readonly #options: GlanceClientOptions;
  readonly #http: AxiosInstance;

  constructor(options: GlanceClientOptions) {
    this.#options = options;
    this.#http = createHttpClient({ timeoutMs: options.timeoutMs, ca: options.ca, insecure: options.insecure });
  }

  /** Project of our own token; null without authentication. */
  projectId(): Promise<string | null> {
    return this.#options.token.projectId();
  }

  /** The image, or null when there is none with this id (that we may see). */
  async show(imageId: string, signal?: AbortSignal): Promise<Image | null> {
    const response = await this.#call('GET', imagePath(imageId), { signal });
    if (response.status === 404) return null;
    return this.#image(this.#accept(response, 200, `show image ${imageId}`));
  }

  /** Every image that matches Glance's filters (`{ name: 'x', status: 'in:queued,saving' }`), newest first, at most `limit`. */
  async list(filters: Readonly<Record<string, string>> = {}, limit = Infinity, signal?: AbortSignal): Promise<Image[]> {
    const images: Image[] = [];
    let query: URLSearchParams | undefined = new URLSearchParams({ limit: String(Math.min(limit, PAGE_SIZE)), ...filters });
    while (query !== undefined && images.length < limit) {
      const page: unknown = this.#accept(await this.#call('GET', `/v2/images?${query.toString()}`, { signal }), 200, 'list images');
      const { images: found, next } = page as { images?: unknown; next?: unknown };
      if (!Array.isArray(found)) throw this.#notGlance('list images', page);
      images.push(...found.map((one) => this.#image(one)));
      // Only the query of `next`: its host and path are ours to know, not the service's to choose.
      query = found.length > 0 && typeof next === 'string' ? new URL(next, 'http://image-service').searchParams : undefined;
    }
    return images.slice(0, limit);
  }

  /** Creates an image without data (`queued`). @throws ConflictError for an id that is or was in use. */
  async create(fields: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<Image> {
    return this.#image(this.#accept(await this.#call('POST', '/v2/images', { body: fields, signal }), 201, 'create an image'));
  }

  /** @throws NotFoundError when it is already gone. */
  async delete(imageId: string, signal?: AbortSignal): Promise<void> {
    this.#accept(await this.#call('DELETE', imagePath(imageId), { signal }), 204, `delete image ${imageId}`);
  }

  /** Sets the formats of a queued image; null takes one back. */
  async setFormats(imageId: string, formats: { disk_format?: string | null; container_format?: string | null }, signal?: AbortSignal): Promise<void> {
    const operations = Object.entries(formats).flatMap(([name, value]) => (value === undefined ? [] : [{ op: 'replace', path: `/${name}`, value }]));
    if (operations.length === 0) return;
    this.#accept(await this.#call('PATCH', imagePath(imageId), { body: operations, type: IMAGE_PATCH_TYPE, signal }), 200, `set the formats of image ${imageId}`);
  }

  /**
   * Sets properties that the image does not have or has with other values, custom ones or its own; allowed on an active
   * image. All equal already: no change is asked for. @throws NotFoundError when there is no such image.
   */
  async setProperties(imageId: string, properties: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void> {
    const image = await this.show(imageId, signal);
    if (image === null) throw new NotFoundError(`Image ${imageId} could not be found.`, { image: imageId });
    const operations = Object.entries(properties)
      .filter(([name, value]) => !Object.hasOwn(image, name) || image[name] !== value)
      .map(([name, value]) => ({ op: Object.hasOwn(image, name) ? 'replace' : 'add', path: `/${pointerStep(name)}`, value }));
    if (operations.length === 0) return;
    this.#accept(await this.#call('PATCH', imagePath(imageId), { body: operations, type: IMAGE_PATCH_TYPE, signal }), 200, `set properties of image ${imageId}`);
  }

  /** Bars everybody but administrators from the image's data. Already deactivated: fine. */
  async deactivate(imageId: string, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#accept(await this.#call('POST', imagePath(imageId, '/actions/deactivate'), { signal }), 204, `deactivate image ${imageId}`);
  }

  /**
   * Streams data of known length into a queued image. When the answer is lost but the image is active with that size, the
   * upload counts as done. Whether the image holds the right data is for verifyUploaded to tell. Data that are destroyed
   * before their end leave the image without any, since their length was announced.
   * @throws OperationFailedError with UploadFailureData: the image is read again after every failure.
   */
  async upload(imageId: string, source: ImageData, sizeBytes: number, { signal, onProgress, answerTimeoutMs = this.#options.answerTimeoutMs ?? 600_000 }: TransferOptions<AbortSignal> & { answerTimeoutMs?: number }): Promise<void> {
    if (sizeBytes < 1) throw new InvalidParameterError(`Expected data for image ${imageId}, found ${sizeBytes} bytes.`, { image: imageId, retryable: false }); // the service would take nothing for an image
    const target = imagePath(imageId, '/file');
    const { stallTimeoutMs = 120_000, log } = this.#options;
    const url = await this.#url();
    const outcome = await this.#authorized(async (credentials) => {
      const request = openExchange({ ...this.#options, url }, 'PUT', target, { ...credentials, 'Content-Type': 'application/octet-stream', 'Content-Length': sizeBytes, Expect: '100-continue' });
      return sendData(request, source, sizeBytes, { signal, onProgress, stallTimeoutMs, answerTimeoutMs }).catch((error: unknown) => (error instanceof Error ? error : new Error(messageOf(error))));
    }, TRANSFER_TOKEN_LIFE_MS);
    if (!(outcome instanceof Error) && outcome.status >= 200 && outcome.status < 300) return;
    const after = await this.#readAfter(imageId);
    const failure = uploadFailure(imageId, outcome, after.status);
    const answerLost = outcome instanceof Error || outcome.status >= 500;
    if (answerLost && !signal.aborted && after.status === 'active' && after.sizeBytes === sizeBytes) log.warn({ image: imageId, reason: failure.message }, 'the answer to the upload was lost, but the image is active');
    else throw failure;
  }

  /**
   * Streams the image's data into `destination` and compares size and digest with the image's own.
   * @throws OperationFailedError when they differ (`data.damaged`): what was written must then be thrown away.
   */
  async download(imageId: string, destination: Writable, options: Partial<TransferOptions> = {}): Promise<Downloaded> {
    const image = await this.show(imageId, options.signal);
    if (image === null) throw new NotFoundError(`Image ${imageId} could not be found.`, { image: imageId });
    const digest = digestOf(image);
    if (digest === null || image.size === null) throw new OperationFailedError(`Image ${imageId} has no data: it is ${image.status}`, { image: imageId, imageStatus: image.status, retryable: false });
    const { stallTimeoutMs = 120_000 } = this.#options;
    const request = openExchange({ ...this.#options, url: await this.#url() }, 'GET', imagePath(imageId, '/file'), tokenHeader(await this.#options.token.token(TRANSFER_TOKEN_LIFE_MS)));
    const received = await receiveData(request, destination, { ...options, stallTimeoutMs, hashAlgo: digest.algo });
    if (received.sizeBytes !== image.size || received.hashValue !== digest.value) {
      throw new OperationFailedError(`The data of image ${imageId} is damaged: received ${received.sizeBytes} bytes with ${digest.algo} ${received.hashValue}, expected ${image.size} bytes with ${digest.value}`, { image: imageId, damaged: true });
    }
    return received;
  }

  /** Proves that the image is active and holds these data. @throws OperationFailedError naming every difference. */
  async verify(imageId: string, expected: ExpectedImage, signal?: AbortSignal): Promise<void> {
    verifyUploaded(await this.show(imageId, signal), expected);
  }

  /**
   * The image once no upload to it is under way: the service needs a moment to roll a broken one back, and may still complete
   * one whose answer was lost. Null: there is none. A service that starts again while it is waited for is no failure.
   * @throws TemporarilyUnavailableError when it is still `saving` as the time is over.
   */
  async settle(imageId: string, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<Image | null> {
    const deadline = Date.now() + timeoutMs;
    let image = await this.show(imageId, signal);
    while (image?.status === 'saving') {
      const before = image;
      if (Date.now() >= deadline) throw new TemporarilyUnavailableError(`Image ${imageId} is still saving after ${timeoutMs / 1_000} s: the image service has not ended the upload to it. If it stays so, it has lost the upload and will never free the image: delete it and create a new one`, { image: imageId, retryable: true, imageStatus: 'saving' });
      await pause(POLL_INTERVAL_MS, undefined, { signal });
      image = await this.show(imageId, signal).catch((error: unknown) => {
        if (!(error instanceof TemporarilyUnavailableError) || Date.now() >= deadline) throw error;
        return before;
      });
    }
    return image;
  }

  async #readAfter(imageId: string): Promise<{ status: StatusAfter; sizeBytes?: number | null }> {
    try {
      const image = await this.show(imageId);
      return image === null ? { status: 'missing' } : { status: image.status, sizeBytes: image.size };
    } catch (error) {
      this.#options.log.warn({ image: imageId, reason: messageOf(error) }, 'the image could not be read after a failed upload');
      return { status: 'unknown' };
    }
  }

  async #url(): Promise<string> {
    const { url } = this.#options;
    return normalizeEndpoint(typeof url === 'string' ? url : await url());
  }

  /** Sends with our token; when the service rejects it, once more with another one, if there is another. */
  async #authorized<Answer extends { status: number } | Error>(send: (credentials: Record<string, string>) => Promise<Answer>, minimumLifeMs?: number): Promise<Answer> {
    const provider = this.#options.token;
    const token = await provider.token(minimumLifeMs);
    const answer = await send(tokenHeader(token));
    if (answer instanceof Error || answer.status !== 401 || token === undefined || !provider.reject) return answer;
    provider.reject(token);
    return send(tokenHeader(await provider.token(minimumLifeMs)));
  }

  async #call(method: Method, path: string, { body, type = 'application/json', signal }: { body?: unknown; type?: string; signal?: AbortSignal }): Promise<AxiosResponse<string>> {
    const url = (await this.#url()) + path;
    return this.#authorized(async (credentials) => {
      const headers = { ...credentials, Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': type }) };
      try {
        return await this.#http.request<string>({ method, url, headers, signal, responseType: 'text', data: body === undefined ? undefined : JSON.stringify(body) });
      } catch (error) {
        if (signal?.aborted) throw new OperationFailedError(`${method} ${path} was stopped on request`, { stopped: true }, signal.reason);
        throw new TemporarilyUnavailableError(`The image service cannot be reached: ${describeHttpFailure(error)}`, { status: null, retryable: true }, error);
      }
    });
  }

  /** The document of an expected answer; anything else becomes the error that the class promises. */
  #accept(response: AxiosResponse<string>, expected: number, action: string): unknown {
    const { status, data: text } = response;
    if (status === expected) return text === '' ? undefined : this.#parse(text, action);
    const message = `The image service did not ${action}: HTTP ${status} ${readableError(text)}`.trim();
    const data = { status, retryable: status >= 500 || status === 408 || status === 429 };
    if (status === 400) throw new InvalidParameterError(message, data);
    if (status === 404) throw new NotFoundError(message, data);
    if (status === 409) throw new ConflictError(message, data);
    if (data.retryable) throw new TemporarilyUnavailableError(message, data);
    throw new OperationFailedError(message, data);
  }

  #parse(text: string, action: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw this.#notGlance(action, text, error);
    }
  }

  #image(document: unknown): Image {
    const { id, status } = (document ?? {}) as { id?: unknown; status?: unknown };
    if (typeof id !== 'string' || typeof status !== 'string') throw this.#notGlance('answer with an image', document);
    return document as Image;
  }

  #notGlance(action: string, found: unknown, cause?: unknown): OperationFailedError {
    return new OperationFailedError(`The image service did not ${action}: expected a document of the Glance v2 API${typeof this.#options.url === 'string' ? ` from ${this.#options.url}` : ''}, found ${String(JSON.stringify(found)).slice(0, 120)}; check its URL`, {}, cause);
  }
}

const tokenHeader = (token: string | undefined): Record<string, string> => (token === undefined ? {} : { 'X-Auth-Token': token });
