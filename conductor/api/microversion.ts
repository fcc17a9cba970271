import type { NextFunction, Request, Response } from 'express';
import { NotAcceptableError } from '../../protocol/errors.ts';
import { DEFAULT_MICROVERSION, formatMicroversion, MAX_MICROVERSION, MAX_VERSION_HEADER, MIN_MICROVERSION, MIN_VERSION_HEADER, VERSION_HEADER } from '../../protocol/microversion.ts';
import { contextOf } from './request-context.ts';

const RANGE = `[${formatMicroversion(MIN_MICROVERSION)}, ${formatMicroversion(MAX_MICROVERSION)}]`;

/** On every reply, whatever becomes of the request. */
export function announceVersions(_request: Request, response: Response, next: NextFunction): void {
  response.setHeader(MIN_VERSION_HEADER, formatMicroversion(MIN_MICROVERSION));
  response.setHeader(MAX_VERSION_HEADER, formatMicroversion(MAX_MICROVERSION));
  next();
}

/** Finds the version that the request asks for. @throws NotAcceptableError */
export function negotiateVersion(request: Request, response: Response, next: NextFunction): void {
  const minor = minorOf(requestedVersion(request));
  contextOf(response).minor = minor;
  response.setHeader(VERSION_HEADER, formatMicroversion(minor));
  next();
}

/** `OpenStack-API-Version: baremetal 1.N` (several services may stand in it) goes before Ironic's own header. */
function requestedVersion(request: Request): string {
  for (const entry of (request.get('OpenStack-API-Version') ?? '').split(',')) {
    const [service, version, ...rest] = entry.trim().split(/\s+/);
    if (service?.toLowerCase() !== 'baremetal') continue;
    if (version === undefined || rest.length > 0) throw new NotAcceptableError('Invalid value for OpenStack-API-Version header: expected "baremetal 1.N".');
    return version;
  }
  return request.get(VERSION_HEADER)?.trim() || formatMicroversion(DEFAULT_MICROVERSION);
}

function minorOf(version: string): number {
  if (version.toLowerCase() === 'latest') return MAX_MICROVERSION;
  const [, major, minor] = /^(\d{1,9})\.(\d{1,9})$/.exec(version) ?? [];
  if (major === undefined || minor === undefined) throw new NotAcceptableError(`Invalid value for ${VERSION_HEADER} header: expected 1.N or "latest".`);
  if (major !== '1') throw new NotAcceptableError(`Mutually exclusive versions requested. Version ${version} requested but not supported by this service. The supported version range is: ${RANGE}.`);
  if (Number(minor) < MIN_MICROVERSION || Number(minor) > MAX_MICROVERSION) {
    throw new NotAcceptableError(`Version ${version} was requested but the minor version is not supported by this service. The supported version range is: ${RANGE}.`);
  }
  return Number(minor);
}

/** @throws NotAcceptableError when the request's version is older than what it asks for. */
export function requireVersion(minor: number, needed: number, what: string): void {
  if (minor < needed) throw new NotAcceptableError(`Request not acceptable. ${what}: the minimal required API version is ${formatMicroversion(needed)}, requested was ${formatMicroversion(minor)}.`);
}
