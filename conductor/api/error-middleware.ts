import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler } from 'express';
import { InvalidParameterError, MethodNotAllowedError, MetalshotError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { contextOf } from './request-context.ts';

/**
 * The one place that turns an error into a reply, in Ironic's shape: `error_message` is a string that holds JSON, with
 * `faultstring` when a resource refused, with `code, title, description` when the request did not get that far.
 * What is not of the catalogue is logged and told as 500 without its words.
 */
export function createErrorMiddleware(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    const { requestId, routed } = contextOf(response);
    const error = catalogued(thrown);
    const status = error?.httpStatus ?? 500;
    if (status >= 500) log.error({ requestId, method: request.method, path: request.path, error: messageOf(thrown), stack: thrown instanceof Error ? thrown.stack : undefined }, 'request failed');
    if (response.headersSent) {
      next(thrown); // too late for words: express cuts the connection
      return;
    }
    if (error instanceof MethodNotAllowedError) response.setHeader('Allow', (error.data['allow'] as string[]).join(', '));
    const words = shorten(error?.message ?? `Internal error. The conductor's log has the reason under ${requestId}.`);
    const inner = routed
      ? { faultcode: status < 500 ? 'Client' : 'Server', faultstring: words, debuginfo: null }
      : { code: status, title: STATUS_CODES[status] ?? 'Error', description: words };
    response.status(status).json({ error_message: JSON.stringify(inner) });
  };
}

/** Messages name what was found, which may have been a megabyte. */
const MAX_WORDS_LENGTH = 4_000;
const shorten = (words: string): string => (words.length <= MAX_WORDS_LENGTH ? words : `${words.slice(0, MAX_WORDS_LENGTH)} …`);

function catalogued(thrown: unknown): MetalshotError | undefined {
  if (thrown instanceof MetalshotError) return thrown;
  // body-parser's errors have a type, or say that they may be shown (a body that cannot be unpacked); the router's are of paths that cannot be decoded
  if (!(thrown instanceof Error) || !('status' in thrown) || !('type' in thrown || 'expose' in thrown || thrown instanceof URIError)) return undefined;
  if ('type' in thrown && thrown.type === 'entity.parse.failed') return new InvalidParameterError(`The request body is not JSON: ${thrown.message}`, {}, thrown);
  const status = Number(thrown.status);
  return status >= 400 && status < 500 ? new MetalshotError('BadRequest', status, thrown.message, {}, thrown) : undefined;
}
