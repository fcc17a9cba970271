import type { Json, JsonObject } from '../../protocol/json.ts';

const MASK = '******';
/** Names of members that hold secrets in the driver and instance information of the drivers in use. */
const SECRET_NAME = /pass(word|wd|phrase|$)|secret|token|credential|key|configdrive|community/i;

/** A copy in which the value of every member with a telling name, at any depth, reads `******`. */
export function maskSecrets(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, SECRET_NAME.test(name) && value !== null ? MASK : maskWithin(value)]));
}

/** Of `instance_info` also the address of the image, which may carry a signature. */
export function maskInstanceInfo(instanceInfo: JsonObject): JsonObject {
  const masked = maskSecrets(instanceInfo);
  return masked['image_url'] ? { ...masked, image_url: MASK } : masked;
}

function maskWithin(value: Json): Json {
  if (Array.isArray(value)) return value.map(maskWithin);
  return typeof value === 'object' && value !== null ? maskSecrets(value) : value;
}
