import { describe, expect, test } from '@jest/globals';
import { isWorthScanning } from '../../../ramdisk-agent/capture/stream-capture.ts';

const FAST = 2e9;
const SLOW = 150e6;

describe('used blocks are read beforehand, to leave out their zeros', () => {
  test.each<[string, number, number, number, boolean, boolean]>([
    // what, share of zeros, disk and sending in bytes/s, time is limited, expected
    ['half of them are zeros', 0.5, SLOW, SLOW, false, true],
    ['half of them are zeros, but the server is waited for', 0.5, SLOW, SLOW, true, false],
    ['half of them are zeros, and the link is so slow that it saves time', 0.5, FAST, 100e6, true, true],
    ['a tenth, behind a slow link', 0.1, FAST, 100e6, false, true],
    ['a tenth, and reading takes longer than sending them', 0.1, SLOW, 100e6, false, false],
    ['next to none, whatever the link', 0.05, FAST, 1e6, false, false],
    ['none', 0, FAST, 1e6, false, false],
  ])('%s', (_what, zeroShare, diskBytesPerS, sentBytesPerS, timeIsLimited, expected) => {
    expect(isWorthScanning({ zeroShare, diskBytesPerS }, sentBytesPerS, timeIsLimited)).toBe(expected);
  });
});
