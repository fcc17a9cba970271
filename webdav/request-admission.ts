import type { Request } from 'express';
import { ForbiddenError, InvalidParameterError, MethodNotAllowedError, NotFoundError } from '../protocol/errors.ts';
import { readBody, rewriteLock, rewritePropfind } from './dav-body.ts';
import { entityTagsHold, ifHeaderHolds, submittedTokens } from './if-header.ts';
import { FileLockedError, PreconditionFailedError } from './refusals.ts';
import { EMPTY_ETAG, type ShareDirectory } from './share-directory.ts';
import { isFileName } from './share-path.ts';

/** What reaches webdav-server at all. */
export const SERVED_METHODS = ['OPTIONS', 'PROPFIND', 'PUT', 'DELETE', 'LOCK', 'UNLOCK'] as const;
type ServedMethod = (typeof SERVED_METHODS)[number];

/** A request that may be handed on: the headers that webdav-server is to see, and the body when it is not streamed. */
export interface AdmittedRequest {
  headers: Record<string, string>;
  /** Null: the request's own stream (PUT). */
  body: string | null;
}

/** @throws ForbiddenError for reading, MethodNotAllowedError for all that the share does not know. HEAD is the caller's. */
export function requireServedMethod(method: string): asserts method is ServedMethod | 'HEAD' {
  if (method === 'GET') throw new ForbiddenError('The share takes images and gives none: contents cannot be read from it.');
  if (method !== 'HEAD' && !(SERVED_METHODS as readonly string[]).includes(method)) throw new MethodNotAllowedError(method, ['HEAD', ...SERVED_METHODS]);
}

/**
 * Everything that is checked before webdav-server sees a request: name, range, conditions, lock tokens and the XML in it.
 * Only what is known to be harmless is handed on, headers included.
 * @param name of the file; null: the directory itself.
 * @throws MetalshotError with the status to answer.
 */
export async function admitRequest(request: Request, method: ServedMethod, directory: ShareDirectory, name: string | null, idleTimeoutMs: number): Promise<AdmittedRequest> {
  switch (method) {
    case 'OPTIONS':
      return { headers: {}, body: '' };
    case 'PROPFIND': {
      const depth = singleDepth(request.headers['depth']);
      return withBody(rewritePropfind(await readBody(request, idleTimeoutMs)), { depth });
    }
    case 'PUT': {
      await requireWritable(request, directory, fileName(name, method));
      if (request.headers['content-range'] !== undefined) throw new ForbiddenError('Content-Range is refused: an image is sent whole or not at all.');
      const length = request.headers['content-length'];
      return { headers: length === undefined ? {} : { 'content-length': length }, body: null };
    }
    case 'DELETE': {
      const file = fileName(name, method);
      if ((await directory.entry(file)) === null) throw new NotFoundError();
      await requireWritable(request, directory, file);
      return { headers: {}, body: '' };
    }
    case 'LOCK':
      return await admitLock(request, directory, fileName(name, method), idleTimeoutMs);
    case 'UNLOCK': {
      fileName(name, method);
      const token = request.headers['lock-token'];
      if (typeof token !== 'string') throw new InvalidParameterError('UNLOCK needs a Lock-Token header.');
      return { headers: { 'lock-token': token }, body: '' };
    }
  }
}

async function admitLock(request: Request, directory: ShareDirectory, name: string, idleTimeoutMs: number): Promise<AdmittedRequest> {
  const body = rewriteLock(await readBody(request, idleTimeoutMs));
  if (body !== '') {
    if (directory.locks.tokensOf(name).length > 0) throw new FileLockedError(name);
    return withBody(body, { depth: '0' });
  }
  const [token, ...more] = submittedTokens(header(request, 'if'));
  if (token === undefined || more.length > 0) throw new InvalidParameterError('A LOCK without a body refreshes a lock: name its token in an If header.');
  return { headers: { if: `(<${token}>)` }, body: '' };
}

/** The conditions that the client has set, and the lock that somebody holds. */
async function requireWritable(request: Request, directory: ShareDirectory, name: string): Promise<void> {
  const entry = await directory.entry(name);
  const etag = entry?.etag ?? EMPTY_ETAG;
  const tokens = directory.locks.tokensOf(name);
  const ifHeader = header(request, 'if');
  const shown = submittedTokens(ifHeader);
  const entityTags = { ifMatch: header(request, 'if-match'), ifNoneMatch: header(request, 'if-none-match') };
  if (!entityTagsHold(entityTags, { etag, exists: entry !== null })) throw new PreconditionFailedError(`${name} is not the file that If-Match or If-None-Match asks for.`);
  if (tokens.length > 0 && !tokens.some((token) => shown.includes(token))) throw new FileLockedError(name);
  if (!ifHeaderHolds(ifHeader, { tokens, etag })) throw new PreconditionFailedError(`No list of the If header holds for ${name}.`);
}

function fileName(name: string | null, method: string): string {
  if (name === null) throw new MethodNotAllowedError(method, ['OPTIONS', 'PROPFIND']);
  if (!isFileName(name)) throw new ForbiddenError('Files of the share have plain names: letters, digits, ".", "_" and "-", the first a letter or digit.');
  return name;
}

/** Infinity is what a missing Depth means (RFC 4918, 9.1), and what a server may refuse. */
function singleDepth(depth: Request['headers'][string]): '0' | '1' {
  if (depth === '0' || depth === '1') return depth;
  throw new ForbiddenError('PROPFIND is answered for Depth 0 and 1.');
}

const withBody = (body: string, headers: Record<string, string>): AdmittedRequest => ({
  body,
  headers: body === '' ? headers : { ...headers, 'content-length': String(Buffer.byteLength(body)) },
});

function header(request: Request, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
