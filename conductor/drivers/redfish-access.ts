import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';

/** How a BMC is reached, as `driver_info` says. */
export interface RedfishAccess {
  /** Scheme, host and port, for example `https://10.0.0.7`. */
  origin: string;
  /** Path of the system's resource; null: the only one that the BMC has. */
  systemPath: string | null;
  /** Null: without login. */
  login: { username: string; password: string } | null;
  authType: 'session' | 'basic' | 'auto';
  /** PEM that is trusted; true: the authorities of this host; false: anything. */
  verifyCa: string | boolean;
}

export const REDFISH_PROPERTIES: Readonly<Record<string, string>> = {
  redfish_address: 'URL of the BMC, for example https://10.0.0.7 (https when no scheme is given). Required.',
  redfish_system_id: 'Path of the system on the BMC, for example /redfish/v1/Systems/1. Required when the BMC has more than one system.',
  redfish_username: 'User name on the BMC. Optional, needed by nearly every BMC.',
  redfish_password: 'Password on the BMC. Optional, needed with redfish_username.',
  redfish_auth_type: '"session", "basic", or "auto": a session, or basic authentication when the BMC offers no sessions. Default "auto".',
  redfish_verify_ca: 'true: the certificate of the BMC must be signed by an authority that this host trusts; false: any certificate will do; or PEM text, or the path of a PEM file, of the authority or of the very certificate. Default true.',
};

/** @throws InvalidParameterError naming each property that is missing or wrong, never its value when it is a secret. */
export async function readRedfishAccess(driverInfo: JsonObject): Promise<RedfishAccess> {
  if (text(driverInfo, 'redfish_address') === null) throw new InvalidParameterError(`Missing the following Redfish properties in node's driver_info: ['redfish_address']. ${REDFISH_PROPERTIES['redfish_address']}`);
  return {
    origin: readOrigin(text(driverInfo, 'redfish_address') ?? ''),
    systemPath: readSystemPath(text(driverInfo, 'redfish_system_id')),
    login: readLogin(text(driverInfo, 'redfish_username'), text(driverInfo, 'redfish_password', { secret: true })),
    authType: readAuthType(text(driverInfo, 'redfish_auth_type') ?? 'auto'),
    verifyCa: await readVerifyCa(driverInfo['redfish_verify_ca'] ?? true),
  };
}

function text(driverInfo: JsonObject, property: string, { secret = false } = {}): string | null {
  const value = driverInfo[property];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string') throw new InvalidParameterError(`driver_info.${property}: expected text${secret ? '' : `, found ${JSON.stringify(value)}`}`);
  return value;
}

function readOrigin(address: string): string {
  const hint = 'expected an address like https://10.0.0.7 or https://bmc.example:8443';
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `https://${address}`);
  } catch (error) {
    throw new InvalidParameterError(`driver_info.redfish_address: ${hint}, found ${JSON.stringify(address)}`, {}, error);
  }
  if (url.username || url.password) throw new InvalidParameterError(`driver_info.redfish_address: ${hint}, found one with credentials in it: use redfish_username and redfish_password`);
  if (!['http:', 'https:'].includes(url.protocol) || url.search || url.hash || !/^\/(redfish(\/v1)?\/?)?$/.test(url.pathname)) {
    throw new InvalidParameterError(`driver_info.redfish_address: ${hint}, found ${JSON.stringify(address)}`);
  }
  return url.origin;
}

function readSystemPath(path: string | null): string | null {
  if (path !== null && !isResourcePath(path)) throw new InvalidParameterError(`driver_info.redfish_system_id: expected a path like /redfish/v1/Systems/1, found ${JSON.stringify(path)}`);
  return path;
}

/** A path on the BMC itself: a link to another host must never get our credentials. */
export const isResourcePath = (path: string): boolean => /^\/(?!\/)[^?#\s\\]*$/.test(path) && !path.split('/').some((part) => part === '..' || part === '.');

function readLogin(username: string | null, password: string | null): RedfishAccess['login'] {
  if (username === null && password !== null) throw new InvalidParameterError('driver_info.redfish_username: required with redfish_password');
  if (username !== null && password === null) throw new InvalidParameterError('driver_info.redfish_password: required with redfish_username');
  return username === null || password === null ? null : { username, password };
}

function readAuthType(authType: string): RedfishAccess['authType'] {
  if (authType === 'session' || authType === 'basic' || authType === 'auto') return authType;
  throw new InvalidParameterError(`driver_info.redfish_auth_type: expected session, basic or auto, found ${JSON.stringify(authType)}`);
}

async function readVerifyCa(value: unknown): Promise<string | boolean> {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    if (/^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
    if (isPem(value)) return value;
    if (isAbsolute(value)) return readPemFile(value);
  }
  throw new InvalidParameterError(`driver_info.redfish_verify_ca: expected true, false, PEM text or the absolute path of a PEM file, found ${JSON.stringify(value)}`);
}

async function readPemFile(path: string): Promise<string> {
  let pem: string;
  try {
    pem = await readFile(path, 'utf8');
  } catch (error) {
    throw new InvalidParameterError(`driver_info.redfish_verify_ca: cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}`, {}, error);
  }
  if (!isPem(pem)) throw new InvalidParameterError(`driver_info.redfish_verify_ca: ${path} holds no PEM certificate`);
  return pem;
}

const isPem = (content: string): boolean => content.includes('-----BEGIN CERTIFICATE-----');
