import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

export interface ServedFile {
  handle: FileHandle;
  sizeBytes: number;
  contentType: string;
}

/**
 * Answers GET or HEAD with an open file, whole or the one range that is asked for (RFC 9110, section 14; several ranges: the
 * whole). Resolves once all of it is sent; rejects when the peer goes away. The file stays open.
 */
export async function sendFile(request: IncomingMessage, response: ServerResponse, { handle, sizeBytes, contentType }: ServedFile): Promise<void> {
  const headers = { 'Content-Type': contentType, 'Accept-Ranges': 'bytes', 'Cache-Control': 'no-store' };
  // If-Range asks for a validator, and we hand out none: it never matches
  const range = request.headers['if-range'] === undefined ? parseRange(request.headers.range, sizeBytes) : null;
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...headers, 'Content-Range': `bytes */${sizeBytes}`, 'Content-Length': 0 }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes - 1 };
  const lengthBytes = end - start + 1;
  response.writeHead(range ? 206 : 200, { ...headers, 'Content-Length': lengthBytes, ...(range ? { 'Content-Range': `bytes ${start}-${end}/${sizeBytes}` } : {}) });
  if (request.method === 'HEAD' || lengthBytes === 0) {
    response.end();
    return;
  }
  await pipeline(handle.createReadStream({ start, end, autoClose: false, highWaterMark: READ_BYTES }), response);
}

const READ_BYTES = 256 * 1024;

/** First and last byte; null: the whole file is meant. */
function parseRange(header: string | undefined, sizeBytes: number): { start: number; end: number } | 'unsatisfiable' | null {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first === '') {
    const lengthBytes = Math.min(Number(last), sizeBytes);
    return lengthBytes === 0 ? 'unsatisfiable' : { start: sizeBytes - lengthBytes, end: sizeBytes - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return null; // no range at all: ignored
  return start >= sizeBytes ? 'unsatisfiable' : { start, end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}
