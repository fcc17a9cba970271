import { expect, test } from '@jest/globals';
import { sendingSpeed } from '../../../ramdisk-agent/capture/stream-capture.ts';

const MB = 1e6;
const UNCOMPRESSED = { ratio: 1, compressorBytesPerS: Infinity };
const HALF_ZEROS = { diskBytesPerS: 1_000 * MB, zeroShare: 0.5 };

test.each([
  ['the disk bounds it', { diskBytesPerS: 80 * MB, zeroShare: 0 }, UNCOMPRESSED, 100 * MB, false, 80],
  ['the link bounds it', HALF_ZEROS, UNCOMPRESSED, 100 * MB, false, 100],
  ['of the link nothing is known', HALF_ZEROS, UNCOMPRESSED, null, false, 1_000],
  ['compressed to half its size it passes the link twice as fast', HALF_ZEROS, { ratio: 0.5, compressorBytesPerS: 400 * MB }, 100 * MB, false, 200],
  ['the compressor bounds it', HALF_ZEROS, { ratio: 0.1, compressorBytesPerS: 400 * MB }, 100 * MB, false, 400],
  ['and although of the link nothing is known', HALF_ZEROS, { ratio: 0.1, compressorBytesPerS: 400 * MB }, null, false, 400],
  ['where only zeros shrink, nothing shrinks without them', HALF_ZEROS, { ratio: 0.5, compressorBytesPerS: 400 * MB }, 100 * MB, true, 100],
  ['what is left without zeros shrinks as far as they did not account for it', HALF_ZEROS, { ratio: 0.25, compressorBytesPerS: 400 * MB }, 100 * MB, true, 200],
  ['nothing but zeros', { diskBytesPerS: 1_000 * MB, zeroShare: 1 }, { ratio: 0.001, compressorBytesPerS: 400 * MB }, 100 * MB, true, 100],
  ['nothing to read', { diskBytesPerS: 0, zeroShare: 0 }, UNCOMPRESSED, 100 * MB, true, 0],
])('%s', (_, sample, wire, link, withoutZeros, expectedMb) => {
  expect(sendingSpeed(sample, wire, link, { withoutZeros }) / MB).toBeCloseTo(expectedMb);
});
