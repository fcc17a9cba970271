import { describe, expect, test } from '@jest/globals';
import { parseByteRange } from '../../../../image-service/embedded/byte-range.ts';
import { applyPatch, parsePatch } from '../../../../image-service/embedded/image-patch.ts';
import { parseListQuery, selectPage } from '../../../../image-service/embedded/image-query.ts';
import { newRecord, toWire, type ImageRecord } from '../../../../image-service/embedded/image-record.ts';
import { virtualSizeBytes } from '../../../../image-service/embedded/virtual-size.ts';
import { IMAGE_PATCH_TYPE } from '../../../../protocol/image.ts';

describe('the part of an image that a Range header names', () => {
  test.each<[string | undefined, number, { first: number; last: number } | undefined]>([
    [undefined, 10, undefined],
    ['bytes=0-', 10, { first: 0, last: 9 }],
    ['bytes=9-9', 10, { first: 9, last: 9 }],
    ['bytes=-3', 10, { first: 7, last: 9 }],
    ['bytes=-30', 10, { first: 0, last: 9 }],
    ['bytes=3-300', 10, { first: 3, last: 9 }],
  ])('%s of %i bytes', (header, sizeBytes, range) => {
    expect(parseByteRange(header, sizeBytes)).toEqual(range);
  });

  test.each([
    ['bytes=10-', 10],
    ['bytes=5-4', 10],
    ['bytes=-', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
    ['bytes=a-b', 10],
    ['bits=0-1', 10],
  ])('%s of %i bytes does not exist', (header, sizeBytes) => {
    expect(() => parseByteRange(header, sizeBytes)).toThrow('not available');
  });
});

describe('the virtual size', () => {
  const qcow2 = (sizeBytes: bigint): Buffer => {
    const header = Buffer.alloc(32);
    header.write('QFI\xfb', 0, 'latin1');
    header.writeBigUInt64BE(sizeBytes, 24);
    return header;
  };
  test.each<[string | null, number, Buffer, number | null]>([
    ['raw', 7, Buffer.alloc(7), 7],
    ['raw', 0, Buffer.alloc(0), null],
    ['qcow2', 197_120, qcow2(8n * 1024n ** 3n), 8 * 1024 ** 3],
    ['qcow2', 197_120, qcow2(2n ** 63n), null],
    ['qcow2', 32, Buffer.alloc(32), null],
    ['qcow2', 4, Buffer.from('QFI\xfb', 'latin1'), null],
    ['vmdk', 7, Buffer.alloc(7), null],
    [null, 7, Buffer.alloc(7), null],
  ])('of %s with %i bytes', (format, sizeBytes, header, expected) => {
    expect(virtualSizeBytes(format, sizeBytes, header)).toBe(expected);
  });
});

describe('properties with dangerous names', () => {
  test('are properties like any other', () => {
    const record = newRecord(JSON.parse('{"__proto__": "x", "constructor": "y", "hasOwnProperty": "z"}'));
    const wire = JSON.parse(JSON.stringify(toWire(record))) as object;
    expect(Object.entries(wire)).toEqual(expect.arrayContaining([['__proto__', 'x'], ['constructor', 'y'], ['hasOwnProperty', 'z']]));
    const patched = applyPatch(record, parsePatch([{ op: 'replace', path: '/__proto__', value: 'w' }, { op: 'remove', path: '/constructor' }], IMAGE_PATCH_TYPE));
    expect(Object.entries(patched.properties)).toEqual([['hasOwnProperty', 'z'], ['__proto__', 'w']]);
    expect(() => applyPatch(record, parsePatch([{ op: 'remove', path: '/toString' }], IMAGE_PATCH_TYPE))).toThrow('does not exist');
    expect(selectPage([record], parseListQuery(new URLSearchParams('toString=x'))).page).toEqual([]);
  });

  test('no property takes the place of a field', () => {
    expect(() => newRecord({ self: 'elsewhere' })).toThrow('read-only');
    expect(() => newRecord({ properties: {} })).toThrow('is not of type');
    expect(toWire(newRecord({ properties: 'x' })).properties).toBe('x');
  });
});

describe('pages', () => {
  const images: ImageRecord[] = ['c', 'a', 'b', null, 'a'].map((name) => newRecord({ name }));
  test('show every image once, whatever the order and the page size', () => {
    for (const sort of ['sort=name:asc', 'sort=name:desc', '', 'sort_key=size&sort_dir=asc']) {
      for (const limit of [1, 2, 3, 5, 10]) {
        const seen: string[] = [];
        for (let marker: string | undefined = '', pages = 0; marker !== undefined && pages < 10; pages += 1) {
          const { page, next } = selectPage(images, parseListQuery(new URLSearchParams(`${sort}&limit=${limit}${marker === '' ? '' : `&marker=${marker}`}`)));
          seen.push(...page.map((image) => image.id));
          marker = next;
        }
        expect([...seen].sort()).toEqual(images.map((image) => image.id).sort());
      }
    }
  });

  test('begin after a marker that the filters leave out', () => {
    const [first] = images as [ImageRecord];
    const { page } = selectPage(images, parseListQuery(new URLSearchParams(`sort=name:desc&name=a&marker=${first.id}`)));
    expect(page.map((image) => image.name)).toEqual(['a', 'a']);
  });
});
