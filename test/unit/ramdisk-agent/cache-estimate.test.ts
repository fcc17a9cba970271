import { describe, expect, test } from '@jest/globals';
import { DataClusterCounter } from '../../../ramdisk-agent/capture/cache-estimate.ts';
import { defaultCacheSizeBytes } from '../../../ramdisk-agent/capture/cache-file-system.ts';

const CLUSTER = 64 * 1024;

describe('clusters with data', () => {
  const stream = Buffer.alloc(6 * CLUSTER);
  stream[0] = 1; // first byte of the first
  stream[2 * CLUSTER - 1] = 1; // last byte of the second
  stream[4 * CLUSTER + 100] = 1;
  stream[4 * CLUSTER + 40_000] = 1; // twice in the fifth
  test.each([[stream.length], [CLUSTER], [CLUSTER / 2], [10_000], [3 * CLUSTER + 17]])('are counted the same in pieces of %i bytes', (pieceBytes) => {
    const counter = new DataClusterCounter();
    for (let start = 0; start < stream.length; start += pieceBytes) counter.add(stream.subarray(start, start + pieceBytes));
    expect(counter).toMatchObject({ dataClusters: 3, position: stream.length });
  });
});

test('the cache takes 90 % of the available memory unless it is configured', () => {
  expect(defaultCacheSizeBytes('MemTotal:       2000 kB\nMemFree:         10 kB\nMemAvailable:    1000 kB\n')).toBe(921_600);
  expect(() => defaultCacheSizeBytes('MemTotal: 1 kB\n')).toThrow('set cache_size_bytes');
});
