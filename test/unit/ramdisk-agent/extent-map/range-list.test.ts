import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mergeRanges, RangeList, sumOf } from '../../../../ramdisk-agent/extent-map/range-list.ts';
import type { Extent } from '../../../../ramdisk-agent/qcow2/extents.ts';

const KIB = 1024;
const ranges = fc.array(fc.record({ offsetBytes: fc.nat(2_000).map((at) => at * 16 * KIB), sizeBytes: fc.nat(40).map((size) => size * 4 * KIB) }));
const covers = (list: readonly Extent[], { offsetBytes, sizeBytes }: Extent): boolean => sizeBytes === 0 || list.some((range) => range.offsetBytes <= offsetBytes && range.offsetBytes + range.sizeBytes >= offsetBytes + sizeBytes);
const gapsOf = (list: readonly Extent[]): number[] => list.slice(1).map((range, index) => range.offsetBytes - (list[index]!.offsetBytes + list[index]!.sizeBytes));

test('merged ranges cover what they were made of, lie apart, and begin and end where one of those does', () => {
  fc.assert(fc.property(ranges, (input) => {
    const merged = mergeRanges(input);
    for (const range of input) expect(covers(merged, range)).toBe(true);
    for (const gap of gapsOf(merged)) expect(gap).toBeGreaterThanOrEqual(64 * KIB);
    const real = input.filter(({ sizeBytes }) => sizeBytes > 0);
    expect(merged.every(({ offsetBytes }) => real.some((range) => range.offsetBytes === offsetBytes))).toBe(true);
    expect(merged.every(({ offsetBytes, sizeBytes }) => real.some((range) => range.offsetBytes + range.sizeBytes === offsetBytes + sizeBytes))).toBe(true);
  }));
});

test('a list gets coarser instead of longer than allowed, and still covers everything', () => {
  fc.assert(fc.property(ranges, fc.integer({ min: 1, max: 10 }), (input, longest) => {
    const list = new RangeList({ longest, smallestGapBytes: 0 });
    for (const range of input.sort((one, other) => one.offsetBytes - other.offsetBytes)) list.add(range);
    expect(list.ranges.length).toBeLessThanOrEqual(longest);
    for (const range of input) expect(covers(list.ranges, range)).toBe(true);
  }));
});

test('a million scattered blocks take a bounded list', () => {
  const list = new RangeList();
  for (let block = 0; block < 1_000_000; block += 1) list.add({ offsetBytes: block * 128 * KIB, sizeBytes: 4 * KIB });
  expect(list.ranges.length).toBeLessThanOrEqual(100_000);
  expect(sumOf(list.ranges)).toBeLessThanOrEqual(1_000_000 * 128 * KIB);
  expect(covers(list.ranges, { offsetBytes: 999_999 * 128 * KIB, sizeBytes: 4 * KIB })).toBe(true);
});

test('ranges in the wrong order are refused', () => {
  const list = new RangeList();
  list.add({ offsetBytes: 10, sizeBytes: 1 });
  expect(() => list.add({ offsetBytes: 9, sizeBytes: 1 })).toThrow('ascending order');
});
