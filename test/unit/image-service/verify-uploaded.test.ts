import { expect, test } from '@jest/globals';
import { imagePath, normalizeEndpoint } from '../../../image-service/image-path.ts';
import { noToken, staticToken } from '../../../image-service/token-provider.ts';
import { verifyUploaded } from '../../../image-service/verify-uploaded.ts';
import { newRecord, toWire } from '../../../image-service/embedded/image-record.ts';
import type { Image } from '../../../protocol/image.ts';

const HASH = 'ab'.repeat(64);
const uploaded = (fields: Partial<Image> = {}): Image => ({ ...(toWire(newRecord({ name: 'x' })) as Image), status: 'active', size: 5, os_hash_algo: 'sha512', os_hash_value: HASH, ...fields });

test('an active image with the size and digest that were sent is accepted', () => {
  expect(() => verifyUploaded(uploaded(), { sizeBytes: 5, osHashValue: HASH.toUpperCase() })).not.toThrow();
});

test.each<[Partial<Image>, string]>([
  [{ status: 'queued' }, 'status: expected active, found queued'],
  [{ size: 4 }, 'size: expected 5, found 4'],
  [{ os_hash_algo: 'sha256' }, 'os_hash_algo: expected sha512, found sha256'],
  [{ os_hash_value: null }, `os_hash_value: expected ${HASH}, found none`],
])('%j is refused with the difference', (fields, difference) => {
  expect(() => verifyUploaded(uploaded(fields), { sizeBytes: 5, osHashValue: HASH })).toThrow(difference);
});

test('an image that has disappeared is refused', () => {
  expect(() => verifyUploaded(null, { sizeBytes: 5, osHashValue: HASH })).toThrow('does not exist any more');
});

test.each(['', '..', '../v2/images', 'x', '11111111-1111-4111-8111-11111111111', '11111111-1111-4111-8111-111111111111/file', '11111111-1111-4111-8111-111111111111\n'])('%j never becomes part of a path', (id) => {
  expect(() => imagePath(id)).toThrow('is not an image id');
});

test.each(['http://host:9292', 'http://host:9292/', 'http://host:9292/v2', 'http://host:9292/v2/', 'http://host:9292/v2.7/'])('%s is the endpoint http://host:9292', (url) => {
  expect(normalizeEndpoint(url)).toBe('http://host:9292');
});

test('token providers give the token and its project', async () => {
  expect([await noToken.token(), await noToken.projectId()]).toEqual([undefined, null]);
  const fixed = staticToken('secret', 'project');
  expect([await fixed.token(), await fixed.projectId()]).toEqual(['secret', 'project']);
});
