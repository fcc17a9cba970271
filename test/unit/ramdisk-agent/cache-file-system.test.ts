import { expect, test } from '@jest/globals';
import { defaultCacheSizeBytes } from '../../../ramdisk-agent/capture/cache-file-system.ts';

test('the cache takes 90 % of the available memory unless it is configured', () => {
  expect(defaultCacheSizeBytes('MemTotal:       2000 kB\nMemFree:         10 kB\nMemAvailable:    1000 kB\n')).toBe(921_600);
  expect(() => defaultCacheSizeBytes('MemTotal: 1 kB\n')).toThrow('set cache_size_bytes');
});
