import type { IncomingMessage } from 'node:http';

/** Scheme and authority of a request target in absolute form (RFC 9112, 3.2.2). */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)/i;

/** Makes the absolute form, which every server must accept, the usual one; its authority counts in place of the Host header. */
export function takeOriginForm(request: IncomingMessage): void {
  const [start, authority] = ABSOLUTE_FORM.exec(request.url ?? '') ?? [];
  if (start === undefined) return;
  request.headers.host = authority;
  request.url = request.url?.slice(start.length).replace(/^(?!\/)/, '/');
}
