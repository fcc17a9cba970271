import { describe, expect, test } from '@jest/globals';
import { parseImageRef } from '../../../protocol/image-ref.ts';

const refusal = (value: unknown): string => {
  try {
    parseImageRef(value);
  } catch (error) {
    expect(error).toMatchObject({ httpStatus: 400 });
    return (error as Error).message;
  }
  throw new Error(`accepted: ${JSON.stringify(value)}`);
};

describe('what a snapshot may be written to', () => {
  test('is an image by its UUID, in small letters', () => {
    expect(parseImageRef('5F1C1B62-8D9C-4C35-9AD5-3B9B1E9BD2F0')).toEqual({ kind: 'image', ref: '5f1c1b62-8d9c-4c35-9ad5-3b9b1e9bd2f0' });
  });

  test.each([
    ['file', 'file:///srv/images/Rack-1/web_1.qcow2'],
    ['https', 'https://store.example:8443/images/web-1.qcow2'],
    ['s3', 's3://server.images/rack-1/2026-11-21T10.00+web-1.qcow2'],
  ])('is a place by its %s URL, letter by letter', (kind, ref) => {
    expect(parseImageRef(ref)).toMatchObject({ kind, ref });
  });

  test.each([
    ['nothing', undefined, /expected the UUID/],
    ['a number', 5, /expected the UUID/],
    ['another scheme', 'http://store.example/web-1.qcow2', /expected the UUID/],
    ['a path without a scheme', '/srv/images/web-1.qcow2', /expected the UUID/],
    ['credentials', 'https://user:hunter2@store.example/web-1.qcow2', /carries a user name or password/],
    ['a user name', 's3://user@bucket/web-1.qcow2', /carries a user name or password/],
    ['a query', 'https://store.example/web-1.qcow2?signature=x', /query or a fragment/],
    ['an empty query', 'https://store.example/web-1.qcow2?', /query or a fragment/],
    ['a fragment', 's3://bucket/web-1.qcow2#x', /query or a fragment/],
    ['a way up', 'file:///srv/images/../web-1.qcow2', /"\.\." in it/],
    ['a way up in a key', 's3://bucket/../other/web-1.qcow2', /"\.\." in it/],
    ['an encoded way up', 'file:///srv/images/%2e%2e/web-1.qcow2', /encoded characters/],
    ['an encoded slash', 'https://store.example/images%2f..%2fweb-1.qcow2', /encoded characters/],
    ['a backslash', 'file:///srv/images\\..\\web-1.qcow2', /path of letters/],
    ['a null byte', 'file:///srv/images/\0web-1.qcow2', /path of letters/],
    ['an empty part', 'file:///srv//web-1.qcow2', /path of letters/],
    ['a space', 'file:///srv/web 1.qcow2', /path of letters/],
    ['a host in a file URL', 'file://host/srv/web-1.qcow2', /names no host|write it as/],
    ['no slashes', 'file:/srv/web-1.qcow2', /write it as file:\/\/\/srv/],
    ['no bucket', 's3:///web-1.qcow2', /expected s3:\/\/BUCKET/],
    ['a bucket with a port', 's3://bucket:1/web-1.qcow2', /no port/],
    ['no key', 's3://bucket', /path of letters/],
    ['capital letters in a host', 'https://Store.example/web-1.qcow2', /write it as https:\/\/store\.example/],
    ['a port that goes without saying', 'https://store.example:443/web-1.qcow2', /write it as https:\/\/store\.example\/web-1/],
    ['another ending', 'file:///etc/passwd', /end in \.qcow2/],
    ['nothing but the ending', 'file:///srv/.qcow2', /end in \.qcow2/],
    ['a name that is too long', `file:///srv/${'x'.repeat(200)}.qcow2`, /the limit is 200/],
  ])('is not %s', (_what, value, reason) => {
    const message = refusal(value);
    expect(message).toMatch(reason);
    expect(message).not.toContain('hunter2');
  });
});
