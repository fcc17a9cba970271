import type { IncomingMessage, ServerResponse } from 'node:http';
import { MetalshotError } from '../protocol/errors.ts';
import type { ShareEntry } from './share-directory.ts';

/** A client that goes on sending after it was refused is listened to for so long, that it may read why; then it is cut. */
const LINGER_MS = 15_000;

/**
 * Answers with an error's status and message, once: a reply that has begun, or a client that has gone, is left alone.
 * Anything but a MetalshotError is a 500 without details.
 */
export function sendError(response: ServerResponse, error: unknown, headers: Record<string, string> = {}): void {
  if (response.headersSent || response.destroyed || response.writableEnded) return;
  const known = error instanceof MetalshotError ? error : undefined;
  const text = `${known?.message ?? 'The share failed; its log says why.'}\n`;
  response.writeHead(known?.httpStatus ?? 500, { ...headers, 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** Cuts the connection of a client that is still sending a while after its reply has gone out. */
export function limitLingering(request: IncomingMessage, response: ServerResponse, lingerMs = LINGER_MS): void {
  response.once('finish', () => {
    if (request.complete || request.destroyed) return;
    const cut = setTimeout(() => request.destroy(), lingerMs);
    cut.unref();
    request.once('close', () => clearTimeout(cut));
  });
}

/** davfs2 tells by these whether somebody else has changed its file. */
export function setEntryHeaders(response: ServerResponse, entry: ShareEntry): void {
  response.setHeader('ETag', entry.etag);
  response.setHeader('Last-Modified', entry.modifiedAt.toUTCString());
}

/** A HEAD: what is known of a file, and nothing of what is in it. */
export function sendEntry(response: ServerResponse, entry: ShareEntry): void {
  setEntryHeaders(response, entry);
  response.writeHead(200, { 'Content-Length': entry.sizeBytes });
  response.end();
}
