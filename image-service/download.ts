import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OperationFailedError } from '../protocol/errors.ts';
import { DigestMeter } from './digest-meter.ts';
import { StallTimer } from './exchange.ts';
import { readableError } from './error-text.ts';

export interface DownloadOptions {
  signal?: AbortSignal;
  /** Milliseconds without a byte after which the download is given up. */
  stallTimeoutMs: number;
  onProgress?: (bytesReceived: number) => void;
  /** Name of the digest. */
  hashAlgo: string;
  /** Who sends, for messages. */
  sender?: string;
}

export interface Downloaded {
  sizeBytes: number;
  /** Hex. */
  hashValue: string;
}

/**
 * Streams the reply of an opened GET into `destination`, which is ended (or destroyed, on failure).
 * @throws OperationFailedError for any status but 200, a stall, a stop or a broken connection; InvalidParameterError for a digest that is unknown here.
 */
export async function receiveData(request: ClientRequest, destination: Writable, options: DownloadOptions): Promise<Downloaded> {
  const { sender = 'The image service' } = options;
  request.on('error', () => undefined); // told below once the request is sent; one that is destroyed before or after is nobody's, and would end the process
  let response: IncomingMessage | undefined;
  const giveUp = (reason: Error): void => void (response ?? request).destroy(reason); // a request would keep the reason to itself once it has a response
  const timer = new StallTimer(options.stallTimeoutMs, () => giveUp(new OperationFailedError(`${sender} has sent no data for ${options.stallTimeoutMs / 1_000} s`)));
  const stop = (): void => giveUp(new OperationFailedError('The download was stopped on request', {}, options.signal?.reason));
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  try {
    const meter = new DigestMeter(options.hashAlgo, (sizeBytes) => {
      timer.touch();
      options.onProgress?.(sizeBytes);
    });
    response = await responseOf(request);
    if (response.statusCode !== 200) throw new OperationFailedError(`${sender} did not give the data: HTTP ${response.statusCode} ${readableError(await textOf(response))}`.trim(), { status: response.statusCode });
    await pipeline(response, meter, destination);
    return meter.result();
  } catch (error) {
    destination.destroy();
    throw error;
  } finally {
    timer.stop();
    options.signal?.removeEventListener('abort', stop);
    request.destroy();
  }
}

const responseOf = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', resolve);
    request.end();
  });

const REFUSAL_LIMIT = 64 * 1024;

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const more of response.setEncoding('utf8')) {
    text += more as string;
    if (text.length > REFUSAL_LIMIT) break;
  }
  return text;
}
