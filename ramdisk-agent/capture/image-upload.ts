import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { ImageProof } from '../../protocol/image-proof.ts';
import { IMAGE_KEY_HEADER, IMAGE_MAC_TRAILER, IMAGE_SIZE_HEADER } from '../../protocol/image-stream.ts';
import { messageOf, MetalshotError, OperationFailedError } from '../../protocol/errors.ts';
import { pinnedTls } from '../../protocol/http-client.ts';
import { newMacKey, STREAM_MAC_ALGO, StreamMac } from '../../protocol/stream-mac.ts';
import { createZstdStream } from '../../protocol/zstd-stream.ts';

export interface UploadAddress {
  /** The snapshot's directory on the share. */
  url: string;
  username: string;
  password: string;
  /** PEM of the very certificate that the server has to show. */
  ca?: string;
}

export interface UploadOptions {
  signal: AbortSignal;
  /** For the share's answer once it has everything: it writes to its disk what it still holds. */
  answerTimeoutMs: number;
  /** On the wire; the share undoes it. */
  compressed?: boolean;
  onProgress(bytesSent: number): void;
  /** Everything is on its way: from here on `answerTimeoutMs` counts. */
  onSent?(): void;
}

export interface SentImage {
  /** Of the image, whatever was on the wire. */
  proof: ImageProof;
  wireBytes: number;
}

/** The share does not take this image, now or later: another try makes no sense. */
export class UploadRefused extends OperationFailedError {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message, { status });
    this.status = status;
  }

  /** It is the way of sending that is refused (as a proxy does that wants a length, or takes trailers away): not the sender, and not for want of room. */
  get takesNoStream(): boolean {
    return NO_STREAM_STATUSES.has(this.status);
  }
}

/** Nobody has answered, or said that the data may come, and none went out: the share may only just be starting. */
export class ShareUnreached extends OperationFailedError {}
const UNREACHED_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);

const NO_STREAM_STATUSES = new Set([400, 405, 411, 415, 417, 501]);

const CONTINUE_WAIT_MS = 2_000;
const ANSWER_LIMIT_CHARACTERS = 2_000;
/** Refusals that may pass by themselves. */
const PASSING_STATUSES = new Set([408, 409, 423, 425, 429]);

/**
 * Sends an image of known length to the share with one PUT, and behind it the authentication code of what was sent. Nothing
 * is kept: the pieces go as fast as the share takes them. (axios buffers for redirects and has no `Expect`, so this one uses node:http.)
 * @throws UploadRefused for an answer that will not be another one; OperationFailedError for everything that may pass.
 */
export async function uploadImage(address: UploadAddress, name: string, sizeBytes: number, pieces: AsyncIterable<Buffer>, options: UploadOptions): Promise<SentImage> {
  const url = new URL(encodeURIComponent(name), address.url.endsWith('/') ? address.url : `${address.url}/`);
  const key = newMacKey();
  const request = open(url, address, { sizeBytes, key }, options);
  const answer = readAnswer(request);
  answer.catch(() => undefined); // raced below
  let isReached = false;
  for (const sign of ['continue', 'response']) request.once(sign, () => (isReached = true));
  let bytesSent = 0;
  try {
    await settled(Promise.race([answer, mayContinue(request)]), url);
    const mac = new StreamMac(key);
    async function* authenticated(): AsyncGenerator<Buffer, void, undefined> {
      for await (const piece of pieces) {
        mac.update(piece);
        bytesSent += piece.length;
        yield piece;
        options.onProgress(bytesSent);
      }
    }
    let wireBytes = 0;
    async function* counted(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
      for await (const piece of source) {
        wireBytes += piece.length;
        yield piece;
      }
    }
    const source = Readable.from(authenticated(), { highWaterMark: 1 });
    // the trailer comes before the request's end
    const sending = options.compressed ? pipeline(source, createZstdStream('compress'), counted, request, { end: false }) : pipeline(source, counted, request, { end: false });
    sending.catch(() => undefined); // its error is the disk's or the connection's: told below
    await settled(Promise.race([sending, answer]), url); // an early answer is a refusal
    if (bytesSent !== sizeBytes) throw new OperationFailedError(`expected an image of ${sizeBytes} bytes, made ${bytesSent}`);
    const value = mac.result();
    request.addTrailers({ [IMAGE_MAC_TRAILER]: value });
    request.end();
    options.onSent?.();
    await settled(inTime(answer, options.answerTimeoutMs), url);
    return { proof: { algo: STREAM_MAC_ALGO, key, value }, wireBytes };
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof MetalshotError) throw error;
    const Failure = isReached || bytesSent > 0 || !UNREACHED_CODES.has((error as NodeJS.ErrnoException).code ?? '') ? OperationFailedError : ShareUnreached;
    throw new Failure(`the connection to the share ${url.origin} broke: ${messageOf(error)}`, {}, error);
  } finally {
    request.destroy();
  }
}

export const authorization = ({ username, password }: UploadAddress): string => `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

interface Answer {
  status: number;
  text: string;
}

function open(url: URL, address: UploadAddress, { sizeBytes, key }: { sizeBytes: number; key: string }, { signal, compressed = false }: UploadOptions): ClientRequest {
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'PUT',
    agent: false,
    signal,
    // a server that is told to close would do so with a refusal, before we have read it: what is still on its way to it resets the connection
    headers: { Connection: 'keep-alive', 'Content-Type': 'application/octet-stream', 'Transfer-Encoding': 'chunked', [IMAGE_SIZE_HEADER]: sizeBytes, [IMAGE_KEY_HEADER]: key, Trailer: IMAGE_MAC_TRAILER, Expect: '100-continue', ...(compressed ? { 'Content-Encoding': 'zstd' } : {}), Authorization: authorization(address) },
    ...(address.ca === undefined ? {} : pinnedTls(address.ca)),
  });
  request.on('error', () => undefined); // readAnswer and the pipeline tell it
  request.flushHeaders();
  return request;
}

/** Waits; an answer that is there by then must be one of success. */
async function settled(work: Promise<Answer | void>, url: URL): Promise<void> {
  const answer = await work;
  if (!answer || (answer.status >= 200 && answer.status < 300)) return;
  const message = `the share answers ${answer.status} to PUT ${url.origin}${url.pathname}: ${answer.text.trim() || 'without a reason'}`;
  const mayPass = (answer.status >= 500 && ![501, 507].includes(answer.status)) || PASSING_STATUSES.has(answer.status);
  throw mayPass ? new OperationFailedError(message) : new UploadRefused(message, answer.status);
}

/** Servers that know nothing of `Expect` send no 100: then the body goes out after a moment. */
const mayContinue = (request: ClientRequest): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, CONTINUE_WAIT_MS);
    request.once('continue', resolve).once('close', () => clearTimeout(timer));
    request.once('continue', () => clearTimeout(timer));
  });

function readAnswer(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('close', () => reject(new Error('it was closed without an answer')));
    request.once('response', (response: IncomingMessage) => {
      let text = '';
      const finish = (): void => resolve({ status: response.statusCode ?? 0, text });
      response.setEncoding('utf8').on('data', (more: string) => (text = (text + more).slice(0, ANSWER_LIMIT_CHARACTERS)));
      response.once('end', finish).once('error', finish).once('close', finish); // a status whose text was cut off is still the answer
    });
  });
}

async function inTime(answer: Promise<Answer>, timeoutMs: number): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new OperationFailedError(`the share has the whole image but has not answered within ${timeoutMs / 1_000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
