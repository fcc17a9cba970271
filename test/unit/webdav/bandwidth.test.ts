import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { Bandwidth, Throttle, TokenBucket } from '../../../webdav/bandwidth.ts';

const MIB = 1024 ** 2;

describe('a token bucket', () => {
  test('lets no more through than its rate, however it is taken from', () => {
    const bucket = new TokenBucket(MIB);
    let now = 0;
    for (let taken = 0; taken < 10 * MIB; taken += 64 * 1024) now += bucket.take(64 * 1024, now);
    expect(now).toBeGreaterThan(9_800);
    expect(now).toBeLessThanOrEqual(10_000);
  });

  test('gives those who share it equal parts, and saves nothing up for longer than a moment', () => {
    const bucket = new TokenBucket(MIB);
    const at = [0, 0];
    const takenBytes = [0, 0];
    for (;;) {
      const next = at[0]! <= at[1]! ? 0 : 1;
      if (at[next]! >= 10_000) break;
      at[next]! += bucket.take(64 * 1024, at[next]!);
      takenBytes[next]! += 64 * 1024;
    }
    expect(Math.abs(takenBytes[0]! - takenBytes[1]!)).toBeLessThanOrEqual(2 * 64 * 1024);
    expect(bucket.take(MIB, 3_600_000)).toBeGreaterThan(850); // an hour of silence is worth a tenth of a second
  });
});

describe('a throttle', () => {
  test('passes everything on as it came', async () => {
    const throttle = new Throttle([new TokenBucket(1_000 * MIB), new TokenBucket(500 * MIB)]);
    const pieces = Array.from({ length: 50 }, (_, index) => Buffer.alloc(10_000, index));
    const found: Buffer[] = [];
    throttle.on('data', (piece: Buffer) => found.push(piece));
    for (const piece of pieces) throttle.write(piece);
    throttle.end();
    await once(throttle, 'end');
    expect(Buffer.concat(found).equals(Buffer.concat(pieces))).toBe(true);
  });

  test('that has to wait holds one piece and its writer back, and lets go of everything when it is destroyed', async () => {
    const throttle = new Throttle([new TokenBucket(1)]);
    let passedBytes = 0;
    throttle.on('data', (piece: Buffer) => (passedBytes += piece.length));
    expect(throttle.write(Buffer.alloc(64 * 1024))).toBe(false);
    expect(throttle.write(Buffer.alloc(64 * 1024))).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    expect({ passedBytes, heldBytes: throttle.writableLength }).toEqual({ passedBytes: 0, heldBytes: 128 * 1024 });
    throttle.destroy();
    await once(throttle, 'close');
    expect(passedBytes).toBe(0);
  });
});

test('each snapshot has a bucket of its own beside that of all; without limits there is none', () => {
  const [one, other] = [{}, {}];
  const both = new Bandwidth(MIB, MIB);
  expect(both.bucketsOf(one)).toHaveLength(2);
  expect(both.bucketsOf(one)).toEqual(both.bucketsOf(one));
  expect(both.bucketsOf(one)[0]).toBe(both.bucketsOf(other)[0]);
  expect(both.bucketsOf(one)[1]).not.toBe(both.bucketsOf(other)[1]);
  expect(new Bandwidth(undefined, undefined).bucketsOf(one)).toEqual([]);
});
