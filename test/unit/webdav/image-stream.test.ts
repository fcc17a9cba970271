import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { runProgram } from '../../../protocol/program.ts';
import { spawnSync } from 'node:child_process';
import { IMAGE_KEY_HEADER, IMAGE_MAC_TRAILER, IMAGE_SIZE_HEADER } from '../../../protocol/image-stream.ts';
import { newMacKey, StreamMac } from '../../../protocol/stream-mac.ts';
import { until } from '../../rig/until.ts';
import { ServedShare, type Guest } from './served-share.ts';

const MIB = 1024 ** 2;
const NAME = 'disk.qcow2';
const image = randomBytes(3 * MIB + 17);
const key = newMacKey();
const macOf = (data: Buffer, itsKey = key): string => {
  const mac = new StreamMac(itsKey);
  mac.update(data);
  return mac.result();
};
const sha512 = (data: Buffer): string => createHash('sha512').update(data).digest('hex');

let served: ServedShare;
let guest: Guest;
beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite();
});
afterEach(async () => {
  await served.stop();
});

interface Sending {
  body?: Buffer;
  sizeBytes?: number | string;
  /** Null: left out. */
  keyHeader?: string | null;
  mac?: string | null;
  encoding?: string;
  /** The connection is cut here instead of being ended. */
  cut?: boolean;
}

function send({ body = image, sizeBytes = image.length, keyHeader = key, mac = macOf(image), encoding, cut = false }: Sending = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(NAME, guest.url), {
      method: 'PUT',
      agent: false,
      auth: `${guest.username}:${guest.password}`,
      headers: { 'Transfer-Encoding': 'chunked', [IMAGE_SIZE_HEADER]: sizeBytes, ...(keyHeader === null ? {} : { [IMAGE_KEY_HEADER]: keyHeader }), Trailer: IMAGE_MAC_TRAILER, ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }) },
    });
    request.once('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.write(body, () => {
      if (cut) request.destroy(new Error('cut'));
    });
    if (cut) return;
    if (mac !== null) request.addTrailers({ [IMAGE_MAC_TRAILER]: mac });
    request.end();
  });
}

const received = async (): Promise<Buffer | null> => {
  const file = await served.share.received(guest.uuid, NAME);
  return file && readFile(file.path);
};
const zstd = (data: Buffer): Buffer => spawnSync('zstd', ['-q', '-c'], { input: data, maxBuffer: 64 * MIB }).stdout;

async function expectNothing(): Promise<void> {
  await until('the share has let go of it', async () => served.share.bytesReceived(guest.uuid) === 0 && (await readdir(join(served.directory, guest.uuid))).every((name) => !name.startsWith('.upload-')));
  expect(await received()).toBeNull();
}

test('an image whose length and code are what its sender says is there, byte by byte, and its code is noted', async () => {
  expect(await send()).toEqual({ status: 201, text: '' });
  expect(await served.share.received(guest.uuid, NAME)).toMatchObject({ sizeBytes: image.length, proof: macOf(image) });
  expect(sha512((await received())!)).toBe(sha512(image));
  await until('the access log has it', () => served.requests.some(({ bytes, status }) => bytes === image.length && status === 201));
});

test('one that was compressed on its way is stored decoded, and length and code are those of the decoded', async () => {
  const text = Buffer.alloc(8 * MIB, 'much of the same ');
  expect((await send({ body: zstd(text), sizeBytes: text.length, mac: macOf(text), encoding: 'zstd' })).status).toBe(201);
  expect(sha512((await received())!)).toBe(sha512(text));
});

describe('nothing is stored of an image', () => {
  const flipped = Buffer.from(image);
  flipped[MIB] = (flipped[MIB] ?? 0) ^ 1;
  const cases: [string, Sending, RegExp, number?][] = [
    ['in which one bit has flipped', { body: flipped }, /changed on its way/],
    ['whose last byte is missing', { body: image.subarray(0, -1) }, /announced with 3145745 bytes, 3145744 came/],
    ['with a byte too many', { body: Buffer.concat([image, Buffer.from('x')]) }, /more came/],
    ['in which two pieces have changed places', { body: Buffer.concat([image.subarray(0, MIB), image.subarray(2 * MIB, 3 * MIB), image.subarray(MIB, 2 * MIB), image.subarray(3 * MIB)]) }, /changed on its way/],
    ['without its code', { mac: null }, /without its authentication code/, 400],
    ['with the code of another', { mac: macOf(flipped) }, /changed on its way/],
    ['with a code under another key', { mac: macOf(image, newMacKey()) }, /changed on its way/],
    ['with an empty code', { mac: '' }, /changed on its way/],
    ['that is said to be compressed and is not', { encoding: 'zstd' }, /can not decompress/],
    ['whose compressed form ends early', { body: zstd(image).subarray(0, -100), encoding: 'zstd' }, /can not decompress|announced with/],
  ];
  test.each(cases)('%s: its sender is told why', async (_, sending, message, expected = 500) => {
    const { status, text } = await send(sending);
    expect(status).toBe(expected);
    expect(text).toMatch(message);
    await expectNothing();
  });

  test('whose connection is cut', async () => {
    await expect(send({ cut: true })).rejects.toThrow('cut');
    await expectNothing();
  });

  test.each([
    ['no length', { sizeBytes: '' }, 400],
    ['a negative length', { sizeBytes: '-1' }, 400],
    ['a length beyond all numbers', { sizeBytes: '99999999999999999999' }, 400],
    ['no key, as an older ramdisk sends it', { keyHeader: null }, 426],
    ['a key that is none', { keyHeader: 'f'.repeat(63) }, 400],
    ['an encoding that nobody knows', { encoding: 'br' }, 400],
    ['more than the quota', { sizeBytes: 2 * 1024 ** 3 }, 507],
  ])('with %s', async (_, sending, status) => {
    expect(await send(sending).catch((error: NodeJS.ErrnoException) => ({ status: error.code === 'EPIPE' || error.code === 'ECONNRESET' ? status : 0 }))).toMatchObject({ status });
    await expectNothing();
  });
});

test('decoders end with their images, however those end', async () => {
  const running = async (): Promise<number> => (await runProgram('ps', ['-o', 'args=', '--ppid', String(process.pid)], { timeoutMs: 10_000, acceptedExitCodes: [0, 1] })).stdout.split('\n').filter((line) => line.startsWith('zstd')).length;
  await send({ encoding: 'zstd' });
  await send({ body: zstd(image).subarray(0, MIB), encoding: 'zstd', cut: true }).catch(() => undefined);
  await until('no zstd runs any more', async () => (await running()) === 0);
});
