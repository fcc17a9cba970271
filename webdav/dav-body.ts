import type { Request } from 'express';
import { ForbiddenError, InvalidParameterError, MetalshotError, OperationFailedError } from '../protocol/errors.ts';
import { BodyTooLargeError } from './refusals.ts';

const BODY_LIMIT_BYTES = 64 * 1024;
const OWNER_LIMIT_CHARACTERS = 256;
/** The properties that webdav-server knows; we store no others. */
const PROPERTIES = ['creationdate', 'displayname', 'getcontentlength', 'getcontenttype', 'getetag', 'getlastmodified', 'lockdiscovery', 'resourcetype', 'supportedlock'];

/**
 * Reads a body that has to be small.
 * @throws BodyTooLargeError past 64 KiB; OperationFailedError when the client goes away or sends nothing for the idle timeout.
 */
export async function readBody(request: Request, idleTimeoutMs: number): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > BODY_LIMIT_BYTES) throw new BodyTooLargeError(BODY_LIMIT_BYTES);
  const idle = setTimeout(() => request.destroy(new OperationFailedError(`No byte came for ${idleTimeoutMs / 1_000} s`)), idleTimeoutMs);
  try {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      idle.refresh();
      sizeBytes += chunk.length;
      if (sizeBytes > BODY_LIMIT_BYTES) throw new BodyTooLargeError(BODY_LIMIT_BYTES);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    if (error instanceof MetalshotError) throw error;
    throw new OperationFailedError('The client has gone away in the middle of its request', {}, error);
  } finally {
    clearTimeout(idle);
  }
}

/*
 * webdav-server builds its replies in callbacks that nobody guards: an odd document could end the process. So its parser sees
 * only documents that we have written, with what matters of the client's. Properties that we do not have are left out
 * of the reply, which says the same as a 404 for each.
 */

/** @returns the document to hand on; empty: all properties. @throws InvalidParameterError (400) */
export function rewritePropfind(body: string): string {
  const elements = elementNames(body);
  if (body.trim() === '' || elements.has('allprop')) return '';
  if (!elements.has('propfind')) throw new InvalidParameterError('The body of a PROPFIND has to be a DAV: propfind document (RFC 4918, 14.20).');
  const wanted = elements.has('propname') ? '<D:propname/>' : `<D:prop>${PROPERTIES.filter((name) => elements.has(name)).map((name) => `<D:${name}/>`).join('')}</D:prop>`;
  return `<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:">${wanted}</D:propfind>`;
}

/**
 * @returns the document to hand on; empty: a refresh.
 * @throws InvalidParameterError (400); ForbiddenError (403) for a shared lock: one writer has no use for it, and
 *   webdav-server describes it wrongly.
 */
export function rewriteLock(body: string): string {
  if (body.trim() === '') return '';
  const elements = elementNames(body);
  if (!elements.has('lockinfo') || !elements.has('write')) throw new InvalidParameterError('The body of a LOCK has to be a DAV: lockinfo document for a write lock (RFC 4918, 14.11).');
  if (!elements.has('exclusive')) throw new ForbiddenError('Only exclusive locks are given.');
  const owner = /<(?:[\w-]+:)?owner\b[^<>]*>(.*?)<\/(?:[\w-]+:)?owner\s*>/s.exec(body)?.[1];
  const ownerElement = owner === undefined ? '' : `<D:owner>${plainText(owner)}</D:owner>`;
  return `<?xml version="1.0" encoding="utf-8"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>${ownerElement}</D:lockinfo>`;
}

const elementNames = (document: string): Set<string> => new Set([...document.matchAll(/<(?:[\w-]+:)?([\w-]+)/g)].map(([, name = '']) => name));

/** The text between the tags, of characters that need no escape in XML. */
const plainText = (markup: string): string =>
  markup
    .replace(/<[^<>]*>/g, '')
    .replace(/[^\w .,:;@/+-]/g, ' ')
    .trim()
    .slice(0, OWNER_LIMIT_CHARACTERS);
