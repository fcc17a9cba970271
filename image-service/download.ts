import { createHash } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OperationFailedError } from '../protocol/errors.ts';
import { StallTimer } from './exchange.ts';
import { readableError } from './error-text.ts';

export interface DownloadOptions {
  signal?: AbortSignal;
  /** Milliseconds without a byte after which the download is given up. */
  stallTimeoutMs: number;
  onProgress?: (bytesReceived: number) => void;
  /** Name of the digest, in OpenSSL's terms. */
  hashAlgo: string;
}

export interface Downloaded {
  sizeBytes: number;
  /** Hex. */
  hashValue: string;
}

/**
 * Streams the reply of an opened GET into `destination`, which is ended (or destroyed, on failure).
 * @throws OperationFailedError for any status but 200, a stall, a stop or a broken connection.
 */
export async function receiveData(request: ClientRequest, destination: Writable, options: DownloadOptions): Promise<Downloaded> {
  let response: IncomingMessage | undefined;
  const giveUp = (reason: Error): void => void (response ?? request).destroy(reason); // a request would keep the reason to itself once it has a response
  const timer = new StallTimer(options.stallTimeoutMs, () => giveUp(new OperationFailedError(`The image service has sent no data for ${options.stallTimeoutMs / 1_000} s`)));
  const stop = (): void => giveUp(new OperationFailedError('The download was stopped on request', {}, options.signal?.reason));
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  const hash = createHash(options.hashAlgo);
  let sizeBytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      timer.touch();
      sizeBytes += chunk.length;
      hash.update(chunk);
      options.onProgress?.(sizeBytes);
      done(null, chunk);
    },
  });
  try {
    response = await responseOf(request);
    if (response.statusCode !== 200) throw new OperationFailedError(`The image service did not give the data: HTTP ${response.statusCode} ${readableError(await textOf(response))}`.trim(), { status: response.statusCode });
    await pipeline(response, meter, destination);
    return { sizeBytes, hashValue: hash.digest('hex') };
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
