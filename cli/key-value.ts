import type { Json, JsonObject } from '../protocol/json.ts';
import { UsageError } from './exit-code.ts';

/**
 * `KEY=VALUE` as the stock client reads it: the value is JSON when it parses as JSON (`4` is a number, `true` a
 * boolean, `{"a":1}` an object), else text. Quote it to force text: `serial='"0042"'`.
 * @param option named in errors; the argument itself is not, as it may be a secret without its key.
 */
export function parseKeyValue(argument: string, option: string): [string, Json] {
  const separator = argument.indexOf('=');
  if (separator < 1) throw new UsageError(`--${option} expects KEY=VALUE; an argument without a key or without "=" was given`);
  const key = argument.slice(0, separator);
  return [key, parseLooseJson(argument.slice(separator + 1), `--${option} ${key}`)];
}

/** Several `KEY=VALUE` as one object; the last one of a key counts. */
export function parseKeyValues(pairs: readonly string[], option: string): JsonObject {
  return Object.fromEntries(pairs.map((pair) => parseKeyValue(pair, option)));
}

/** JSON of an argument that must be JSON. */
export function parseJsonArgument(text: string, option: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UsageError(`--${option} expects JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parseLooseJson(text: string, where: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return text; // not JSON, hence text: the stock client's rule
  }
  // A number beyond 2^53 (a serial number, a password of digits) would silently become another one.
  if (typeof value === 'number' && !isExact(value)) return text;
  if (hasInexactNumber(value)) throw new UsageError(`${where}: it holds a number that is too large to be sent exactly; put it in quotes`);
  return value;
}

const isExact = (value: number): boolean => !Number.isInteger(value) || Number.isSafeInteger(value);

function hasInexactNumber(value: Json): boolean {
  if (typeof value === 'number') return !isExact(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasInexactNumber);
}
