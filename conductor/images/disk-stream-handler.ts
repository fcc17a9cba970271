import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Request, RequestHandler, Response } from 'express';
import { DISK_STREAM_TYPE, diskStreamLength, encodeDiskStream, type Extent } from '../../protocol/disk-stream.ts';
import { MetalshotError, MethodNotAllowedError, NotFoundError, TemporarilyUnavailableError, UnauthorizedError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { parseBasicCredentials } from '../../webdav/basic-credentials.ts';
import type { ReadyDisk } from './disk-index.ts';
import { isOperationUuid } from './operation-directories.ts';

export interface DiskStreams {
  handler: RequestHandler;
  /** Cuts what is being sent for the operation, or for all. */
  cut(operationUuid?: string): void;
  /** From now on every request is answered with 503. */
  close(): void;
}

export interface DiskStreamOptions {
  /** The operation that this pair opens, or null; asked at every request, so that a revoked credential is dead at once. Takes the same time for every wrong pair. */
  credentials(username: string, password: string): Promise<string | null>;
  find(operationUuid: string): Promise<ReadyDisk | null>;
  /** A machine that takes no byte for so long is cut off. */
  idleTimeoutMs: number;
  log: Logger;
}

const METHODS = ['GET', 'HEAD'];
const READ_BYTES = 512 * 1024;

/** Serves `GET /<operation uuid>` below its mount: the disk stream of a prepared image, to the machine of that operation. */
export function createDiskStreams(options: DiskStreamOptions): DiskStreams {
  const sending = new Map<Response, string>();
  let isClosed = false;
  const serve = async (request: Request, response: Response): Promise<void> => {
    if (isClosed) throw new TemporarilyUnavailableError('The conductor is shutting down.');
    const pair = parseBasicCredentials(request.headers.authorization);
    const operationUuid = pair && (await options.credentials(pair.username, pair.password));
    if (!operationUuid) throw new UnauthorizedError();
    if (!METHODS.includes(request.method)) throw new MethodNotAllowedError(request.method, METHODS);
    const asked = request.url.split('?', 1)[0]?.slice(1) ?? '';
    // another's image is not told apart from one that does not exist
    const disk = asked === operationUuid && isOperationUuid(asked) ? await options.find(asked) : null;
    if (disk === null) throw new NotFoundError();
    response.writeHead(200, { 'Content-Type': DISK_STREAM_TYPE, 'Content-Length': diskStreamLength(disk.extents), 'Cache-Control': 'no-store', 'Accept-Ranges': 'none' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    sending.set(response, operationUuid);
    response.setTimeout(options.idleTimeoutMs, () => response.destroy());
    try {
      await sendDisk(disk, response);
    } finally {
      sending.delete(response);
    }
  };
  return {
    handler: (request, response) => {
      recordAccess(request, response, options.log);
      serve(request, response).catch((error: unknown) => {
        if (response.headersSent) options.log.info({ reason: messageOf(error) }, 'a disk stream ended early');
        else if (!(error instanceof MetalshotError)) options.log.error({ err: error }, 'a request for a disk stream failed');
        answerError(response, error);
      });
    },
    cut: (operationUuid) => sending.forEach((owner, response) => void (operationUuid === undefined || owner === operationUuid ? response.destroy() : undefined)),
    close: () => {
      isClosed = true;
      sending.forEach((_owner, response) => response.destroy());
    },
  };
}

async function sendDisk(disk: ReadyDisk, response: Response): Promise<void> {
  const file = await open(disk.path, 'r');
  try {
    await pipeline(Readable.from(encodeDiskStream(disk.virtualSizeBytes, disk.extents, (extent) => readExtent(file, extent)), { objectMode: false, highWaterMark: READ_BYTES }), response);
  } finally {
    await file.close();
  }
}

async function* readExtent(file: FileHandle, { offsetBytes, lengthBytes }: Extent): AsyncGenerator<Buffer, void, undefined> {
  for (let done = 0; done < lengthBytes; ) {
    const wanted = Math.min(READ_BYTES, lengthBytes - done);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, offsetBytes + done);
    if (bytesRead === 0) return; // the file was cut: the encoder says so
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}

function answerError(response: Response, error: unknown): void {
  if (response.headersSent) {
    response.destroy(); // the length that was promised does not come: never an orderly end
    return;
  }
  const known = error instanceof MetalshotError ? error : undefined;
  const text = `${known?.message ?? 'The conductor failed; its log says why.'}\n`;
  response.writeHead(known?.httpStatus ?? 500, { ...headersOf(error), 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store' });
  response.end(text);
}

function headersOf(error: unknown): Record<string, string> {
  if (error instanceof UnauthorizedError) return { 'WWW-Authenticate': 'Basic realm="metalshot", charset="UTF-8"' };
  if (error instanceof MethodNotAllowedError) return { Allow: METHODS.join(', ') };
  if (error instanceof TemporarilyUnavailableError) return { 'Retry-After': '5' };
  return {};
}

/** One line for each request once it has ended; nothing of its headers. */
function recordAccess(request: Request, response: Response, log: Logger): void {
  const startedAt = performance.now();
  const sentBefore = request.socket.bytesWritten;
  const { method } = request;
  const path = (request.originalUrl.split('?', 1)[0] ?? '').slice(0, 200);
  response.once('close', () => log.info({ method, path, status: response.headersSent ? response.statusCode : 0, whole: response.writableFinished, bytes: request.socket.bytesWritten - sentBefore, ms: Math.round(performance.now() - startedAt) }, 'disk stream request'));
}
