import type { ClientRequest, IncomingMessage } from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MetalshotError, OperationFailedError, messageOf } from '../protocol/errors.ts';
import type { ImageData } from '../protocol/image.ts';
import { StallTimer } from './exchange.ts';

export interface Answer {
  status: number;
  text: string;
}

export interface UploadOptions {
  signal: AbortSignal;
  /** Milliseconds without a byte being accepted after which the upload is given up. */
  stallTimeoutMs: number;
  /** Milliseconds for the answer once all data has been sent. */
  answerTimeoutMs: number;
  onProgress?: (bytesSent: number) => void;
  /** Who receives, for messages. */
  receiver?: string;
}

/** How long `100 Continue` is waited for, as long as curl does: proxies may never send it. */
const CONTINUE_WAIT_MS = 1_000;
/** Characters of an answer that are kept. */
const ANSWER_LIMIT = 64 * 1024;

/**
 * Sends `sizeBytes` as the body of an opened request that carries `Expect: 100-continue`, so that a refusal comes before any
 * data. Resolves with the answer, whatever its status; the connection is gone afterwards.
 * @throws the error that broke the connection, or OperationFailedError for a stall, a stop, or a source that ends early.
 */
export async function sendData(request: ClientRequest, source: ImageData, sizeBytes: number, options: UploadOptions): Promise<Answer> {
  const { receiver = 'The image service' } = options;
  const answer = readAnswer(request);
  answer.catch(() => undefined); // raced below; the request may also fail after the race is over
  const timer = new StallTimer(options.stallTimeoutMs, () => request.destroy(new OperationFailedError(`${receiver} has accepted no data for ${options.stallTimeoutMs / 1_000} s`, { stalled: true })));
  const stop = (): void => void request.destroy(new OperationFailedError('The upload was stopped on request', { stopped: true }, options.signal.reason));
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  let bytesSent = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      timer.touch();
      bytesSent += chunk.length;
      options.onProgress?.(bytesSent);
      done(null, chunk);
    },
  });
  try {
    const refusal = await Promise.race([answer, mayContinue(request)]);
    if (refusal !== undefined) return refusal;
    const data = source.open();
    data.once('error', (error) => request.destroy(unreadable(source, error))); // the pipeline would end it without a reason
    const sending = pipeline(data, meter, request);
    sending.catch(() => undefined); // its error is the request's, which `answer` rejects with
    const early = await Promise.race([answer, sending.then(() => undefined, () => answer)]);
    if (early !== undefined && (early.status >= 300 || bytesSent === sizeBytes)) return early;
    if (bytesSent !== sizeBytes) throw new OperationFailedError(`Only ${bytesSent} of ${sizeBytes} bytes of ${source.name} have been sent: it was cut, or ${receiver} answered too early`, { source: source.name });
    timer.restart(options.answerTimeoutMs);
    return await answer;
  } finally {
    timer.stop();
    options.signal.removeEventListener('abort', stop);
    request.destroy();
  }
}

const unreadable = ({ name }: ImageData, error: Error): OperationFailedError =>
  new OperationFailedError(`${name} could not be read: ${messageOf(error)}`, { ...(error instanceof MetalshotError ? error.data : {}), source: name, unreadable: true }, error);

const mayContinue = (request: ClientRequest): Promise<undefined> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), CONTINUE_WAIT_MS);
    const go = (): void => {
      clearTimeout(timer);
      resolve(undefined);
    };
    request.once('continue', go).once('close', go);
  });

function readAnswer(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', (response: IncomingMessage) => {
      let text = '';
      const finish = (): void => resolve({ status: response.statusCode ?? 0, text });
      response.setEncoding('utf8').on('data', (more: string) => (text = (text + more).slice(0, ANSWER_LIMIT)));
      // A status whose text was cut off is still the answer.
      response.once('end', finish).once('error', finish).once('close', finish);
    });
  });
}
