import type { Json, JsonObject } from '../../protocol/json.ts';

const MASK = '******';
/** Names of members that hold secrets in the driver and instance information of the drivers in use. */
const SECRET_NAME = /pass(word|wd|phrase|$)|secret|token|credential|key|configdrive|community/i;

/** A copy in which the value of every member with a telling name, at any depth, reads `mask`: `******`. */
export function maskSecrets(object: JsonObject, mask = MASK): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, SECRET_NAME.test(name) && value !== null ? mask : maskWithin(value, mask)]));
}

/** Of `instance_info` also what addresses carry besides themselves; that of a temporary copy of the image is masked as a whole. */
export function maskInstanceInfo(instanceInfo: JsonObject): JsonObject {
  const masked = Object.fromEntries(Object.entries(maskSecrets(instanceInfo)).map(([name, value]) => [name, typeof value === 'string' && ADDRESS.test(value) ? maskAddress(value) : value]));
  return masked['image_url'] ? { ...masked, image_url: MASK } : masked;
}

const ADDRESS = /^\s*[a-z][a-z0-9+.-]*:[/\\]/i;
const CREDENTIALS = /:[/\\]+[^/\\?#]*@/;

/** An address without what may be secret in it: the user and password, and the query, which may be a signature. */
export const maskAddress = (address: string): string => address.replace(CREDENTIALS, `://${MASK}@`).replace(/[?#].*$/s, (rest) => `${rest.charAt(0)}${MASK}`);

/** Whether an address has a user or a password in it. */
export function hasCredentials(address: string): boolean {
  const url = URL.canParse(address) ? new URL(address) : { username: '', password: '' };
  return CREDENTIALS.test(address) || url.username !== '' || url.password !== '';
}

function maskWithin(value: Json, mask: string): Json {
  if (Array.isArray(value)) return value.map((item) => maskWithin(item, mask));
  return typeof value === 'object' && value !== null ? maskSecrets(value, mask) : value;
}
