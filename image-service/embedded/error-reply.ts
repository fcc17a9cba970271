import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler, Request, Response } from 'express';
import { MetalshotError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { isStorageFull, storageFull } from './refusal.ts';

/**
 * The one place that answers errors, in the three languages that Glance has for them: HTML for clients that accept
 * anything, JSON for those that ask for it, otherwise plain text. What is not a refusal of ours is logged and not shown.
 */
export function errorReply(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (response.headersSent || response.destroyed) {
      response.destroy(); // nobody is there to read it, or half a reply would look like a whole one
      return;
    }
    const refused = refusalOf(error, log, request);
    if (Array.isArray(refused.data.allow)) response.set('Allow', refused.data.allow.join(', '));
    if (Array.isArray(refused.data.acceptPatch)) response.set('Accept-Patch', refused.data.acceptPatch.join(', '));
    sendError(request, response.status(refused.httpStatus), refused);
  };
}

function refusalOf(error: unknown, log: Logger, request: Request): MetalshotError {
  if (error instanceof MetalshotError && (error.httpStatus < 500 || error.httpStatus === 503)) return error;
  if (isStorageFull(error)) {
    log.error({ reason: messageOf(error) }, 'the image storage is full');
    return storageFull();
  }
  const { status } = (error ?? {}) as { status?: unknown };
  if (typeof status === 'number' && status >= 400 && status < 500) return new MetalshotError('InvalidParameterValue', status, messageOf(error));
  log.error({ method: request.method, path: request.path, error: messageOf(error) }, 'a request to the image service failed');
  return new MetalshotError('InternalError', 500, 'The server has either erred or is incapable of performing the requested operation.');
}

function sendError(request: Request, response: Response, { httpStatus, message }: MetalshotError): void {
  const title = STATUS_CODES[httpStatus] ?? '';
  const accepted = request.headers.accept === undefined ? 'text' : request.accepts(['html', 'json', 'text']);
  if (accepted === 'html') response.type('html').send(`<html><head><title>${httpStatus} ${title}</title></head><body><h1>${httpStatus} ${title}</h1>\n${escapeHtml(message)}<br /><br />\n</body></html>`);
  else if (accepted === 'json') response.json({ message, code: `${httpStatus} ${title}`, title });
  else response.type('text').send(`${httpStatus} ${title}\n\n${message}\n`);
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
