import { expect, test } from '@jest/globals';
import { expectedDigest, isWeak } from '../../../../conductor/images/expected-digest.ts';

const hex = (length: number): string => 'aB'.repeat(length / 2);

test.each([
  [null, hex(32), 'md5'],
  [null, hex(64), 'sha256'],
  [null, hex(128), 'sha512'],
  [null, `sha256:${hex(64)}`, 'sha256'],
  [null, `SHA512:${hex(128)}`, 'sha512'],
  [null, `sha-384:${hex(96)}`, 'sha384'],
  ['sha512', hex(128), 'sha512'],
  ['sha3-256', hex(64), 'sha3-256'],
  ['sha3_256', hex(64), 'sha3-256'],
  ['sha512_256', hex(64), 'sha512-256'],
  ['blake2b', hex(128), 'blake2b512'],
  ['blake2b512', ` ${hex(128)} `, 'blake2b512'],
] as const)('image_os_hash_algo %s with %s is a %s', (hashAlgo, hashValue, algo) => {
  const digest = expectedDigest({ hashAlgo, hashValue });
  expect(digest.algo).toBe(algo);
  expect(digest.value).toMatch(/^(ab)+$/);
});

test.each([
  [null, null],
  [null, 'abc'],
  [null, hex(40)],
  [null, `crc32:${hex(8)}`],
  [null, `shake256:${hex(64)}`],
  ['sha256', hex(128)],
  ['sha256', 'x'.repeat(64)],
  ['whirlpool-of-mine', hex(128)],
] as const)('image_os_hash_algo %s with %s is refused', (hashAlgo, hashValue) => {
  expect(() => expectedDigest({ hashAlgo, hashValue })).toThrow(expect.objectContaining({ httpStatus: 400 }));
});

test('md5 and sha1 are known to be weak', () => {
  expect(['md5', 'sha1', 'sha256', 'sha512'].map((algo) => isWeak({ algo, value: '' }))).toEqual([true, true, false, false]);
});
