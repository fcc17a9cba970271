import { describe, expect, test } from '@jest/globals';
import { ProgressMeter } from '../../../cli/progress.ts';
import { formatBytes, formatDuration } from '../../../cli/quantities.ts';
import type { JsonObject } from '../../../protocol/json.ts';

const MIB = 1024 ** 2;
const node = (phase: string, step: string | null, doneMiB: number, totalMiB = 1000, status = 'unfinished'): JsonObject => ({
  provision_state: 'snapshot wait',
  driver_internal_info: { snapshot: { phase, step, status, bytes_done: doneMiB * MIB, bytes_total: totalMiB * MIB } },
});

describe('progress', () => {
  test('rate and time left follow from what was seen', () => {
    const meter = new ProgressMeter();
    expect(meter.observe(node('streaming', 'converting', 0), 0)).toMatchObject({ phase: 'streaming: converting', bytesPerSecond: undefined, secondsLeft: undefined });
    expect(meter.observe(node('streaming', 'converting', 100), 1000)).toMatchObject({ bytesPerSecond: 100 * MIB, secondsLeft: 9 });
    expect(meter.observe(node('streaming', 'converting', 150), 2000)).toMatchObject({ bytesPerSecond: 75 * MIB });
  });

  test('the rate is that of the last seconds: an early burst is forgotten', () => {
    const meter = new ProgressMeter();
    meter.observe(node('streaming', 'converting', 0), 0);
    let last = meter.observe(node('streaming', 'converting', 500), 1000);
    for (let second = 2; second <= 60; second++) last = meter.observe(node('streaming', 'converting', 500 + second), second * 1000);
    expect(last.bytesPerSecond).toBe(MIB);
  });

  test('a new phase starts anew', () => {
    const meter = new ProgressMeter();
    meter.observe(node('streaming', 'converting', 0), 0);
    meter.observe(node('streaming', 'converting', 900), 1000);
    expect(meter.observe(node('upload', 'uploading to the image service', 0, 300), 5000)).toMatchObject({ phase: 'upload', phaseSeconds: 0, bytesPerSecond: undefined });
    expect(meter.observe(node('upload', 'uploading to the image service', 30, 300), 6000)).toMatchObject({ bytesPerSecond: 30 * MIB, secondsLeft: 9 });
  });

  test('bytes of an earlier phase are not shown for a later one, nor an old snapshot for a new one', () => {
    const meter = new ProgressMeter();
    expect(meter.observe(node('verify', 'finishing', 1000), 0)).toMatchObject({ phase: 'verify', bytes: undefined });
    expect(meter.observe(node('finished', null, 1000, 1000, 'done'), 0)).toMatchObject({ phase: 'snapshot wait', bytes: undefined });
  });

  test('an unknown or empty total is no division by zero', () => {
    expect(new ProgressMeter().observe(node('streaming', 'preparing', 0, 0), 0)).toMatchObject({ bytes: undefined, secondsLeft: undefined });
  });
});

test.each([[0, '0 B'], [1023, '1023 B'], [1024, '1.00 KiB'], [1536 * MIB, '1.50 GiB'], [250 * MIB, '250 MiB'], [42.5 * MIB, '42.5 MiB']])('%d bytes read %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([[0.42, '0.4 s'], [9, '9 s'], [59.9, '59 s'], [60, '1 min 0 s'], [125, '2 min 5 s'], [4800, '1 h 20 min']])('%d seconds read %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
