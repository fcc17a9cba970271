import { describe, expect, test } from '@jest/globals';
import { randomBytes, webcrypto } from 'node:crypto';
import { isMacKey, newMacKey, StreamMac } from '../../../protocol/stream-mac.ts';

function macOf(key: string, ...chunks: Buffer[]): string {
  const mac = new StreamMac(key);
  for (const chunk of chunks) mac.update(chunk);
  return mac.result();
}

/** The same by another interface, in one piece. */
async function expectedOf(key: string, data: Buffer): Promise<string> {
  const imported = await webcrypto.subtle.importKey('raw', Buffer.from(key, 'hex'), 'AES-GCM', false, ['encrypt']);
  return Buffer.from(await webcrypto.subtle.encrypt({ name: 'AES-GCM', iv: Buffer.alloc(12), additionalData: data }, imported, Buffer.alloc(0))).toString('hex');
}

test('of nothing, under the key of zeros: test case 13 of the specification of GCM', () => {
  expect(macOf('0'.repeat(64))).toBe('530f8afbc74536b9a963b4f1c4cb738b');
});

test('of a stream in whatever pieces it is the code of the whole', async () => {
  const key = newMacKey();
  const data = randomBytes(3 * 1024 ** 2 + 7);
  const cuts = [0, 1, 17, 32, 65_536, 65_537, 1_000_003, data.length];
  const chunks = cuts.slice(1).map((end, index) => data.subarray(cuts[index], end));
  expect(macOf(key, ...chunks)).toBe(await expectedOf(key, data));
  expect(macOf(key, data)).toBe(await expectedOf(key, data));
});

describe('it is another one', () => {
  const key = newMacKey();
  const data = randomBytes(1_000);
  test('for every bit that flips', () => {
    const codes = new Set([macOf(key, data)]);
    for (let bit = 0; bit < 8 * data.length; bit += 1) {
      const changed = Buffer.from(data);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      codes.add(macOf(key, changed));
    }
    expect(codes.size).toBe(8 * data.length + 1);
  });

  test('for one more zero at the end, one byte less, and under another key', () => {
    const codes = [macOf(key, data), macOf(key, data, Buffer.alloc(1)), macOf(key, data.subarray(0, -1)), macOf(newMacKey(), data)];
    expect(new Set(codes).size).toBe(codes.length);
  });
});

test('a key is 64 hex digits, and no other', () => {
  expect(newMacKey()).not.toBe(newMacKey());
  expect([newMacKey(), 'A'.repeat(64)].map(isMacKey)).toEqual([true, true]);
  expect([undefined, '', 'f'.repeat(63), 'f'.repeat(65), 'g'.repeat(64), ['f'.repeat(64)]].map(isMacKey)).toEqual(Array(6).fill(false));
});
