import type { Request } from 'express';

/** A name, an IPv4 address or an IPv6 address in brackets; a port. Nothing else belongs into a link. */
const HOST = /^([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;

/** Base of links to this listener: by the name that the client used if that is one, else by the address that it reached. */
export function baseUrlOf(request: Request): string {
  const host = request.get('Host') ?? '';
  return `${request.protocol}://${HOST.test(host) ? host : ownAddress(request)}`;
}

function ownAddress({ socket: { localAddress = '127.0.0.1', localPort } }: Request): string {
  const address = localAddress.replace(/^::ffff:/, '').replace(/%.*$/, '');
  return `${address.includes(':') ? `[${address}]` : address}:${localPort}`;
}
