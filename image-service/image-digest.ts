import { createHash, getHashes } from 'node:crypto';
import { InvalidParameterError } from '../protocol/errors.ts';
import type { Image } from '../protocol/image.ts';

export interface ImageDigest {
  /** As createHash takes it. */
  algo: string;
  /** Hex, lower case. */
  value: string;
}

const ALGORITHMS = new Set(getHashes().map((name) => name.toLowerCase()).filter((name) => /^(md5|sha\d+|sha3-\d+|sha512-\d+|blake2[bs]\d+|sm3)$/.test(name)));
/** Python's hashlib, by whose names Glance goes, calls the longest of each family by the family's name. */
const ALIASES: Readonly<Record<string, string>> = { blake2b: 'blake2b512', blake2s: 'blake2s256' };

/**
 * The digest that the service keeps of the image's data: the strong one, else the MD5 of older services; null without data.
 * @throws InvalidParameterError for one that cannot be checked here.
 */
export function digestOf({ os_hash_algo: algo, os_hash_value: value, checksum }: Pick<Image, 'os_hash_algo' | 'os_hash_value' | 'checksum'>): ImageDigest | null {
  // loosely: a service that knows no strong digest leaves the fields out
  if (algo != null && value != null) return checkedDigest(algo, value);
  return checksum == null ? null : checkedDigest('md5', checksum);
}

/** @throws InvalidParameterError for an algorithm that is unknown here, or a value that cannot be one of it. */
export function checkedDigest(name: string, text: string): ImageDigest {
  const algo = algorithmOf(name);
  const value = text.toLowerCase();
  const length = createHash(algo).digest('hex').length;
  if (value.length !== length || !/^[0-9a-f]+$/.test(value)) throw new InvalidParameterError(`Expected a ${algo} digest of ${length} hex digits, found ${JSON.stringify(text.slice(0, 140))}.`);
  return { algo, value };
}

/** The name that createHash knows: `SHA-256`, `sha_256` and `sha256` are one, and so are hashlib's `sha3_256` and OpenSSL's `sha3-256`. @throws InvalidParameterError */
export function algorithmOf(name: string): string {
  const plain = name.trim().toLowerCase().replace(/^(sha|md)[-_](?=\d+$)/, '$1').replaceAll('_', '-');
  const algo = ALIASES[plain] ?? plain;
  if (!ALGORITHMS.has(algo)) throw new InvalidParameterError(`The digest of the image cannot be checked: expected an algorithm such as sha256 or sha512, found ${JSON.stringify(name.slice(0, 40))}.`);
  return algo;
}
