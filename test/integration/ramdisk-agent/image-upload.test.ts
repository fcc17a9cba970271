import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { generate } from 'selfsigned';
import { uploadImage, UploadRefused } from '../../../ramdisk-agent/capture/image-upload.ts';
import type { ImageProof } from '../../../protocol/image-proof.ts';
import { proofOf } from '../../rig/proof-of.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';
import { ServedShare, type Guest, type ServedShareOptions } from '../../unit/webdav/served-share.ts';

const MIB = 1024 ** 2;
const NAME = 'disk.qcow2';
const block = randomBytes(MIB);

let served: ServedShare;
let guest: Guest;
let relay: TcpRelay | undefined;
const start = async (options: ServedShareOptions = {}, quotaBytes?: number): Promise<void> => {
  served = await ServedShare.start(options);
  guest = await served.invite(quotaBytes);
};
beforeEach(() => {
  relay = undefined;
});
afterEach(async () => {
  await relay?.close();
  await served.stop();
});

/** What is sent, and how far the sender has come. */
async function* pieces(count: number, made: { count: number } = { count: 0 }): AsyncGenerator<Buffer> {
  for (; made.count < count; made.count += 1) yield block;
}
const digestOf = (count: number): string => {
  const digest = createHash('sha512');
  for (let index = 0; index < count; index += 1) digest.update(block);
  return digest.digest('hex');
};
const options = (signal = new AbortController().signal): Parameters<typeof uploadImage>[4] => ({ signal, answerTimeoutMs: 30_000, onProgress: () => undefined });
const received = async (): Promise<string | null> => {
  const file = await served.share.received(guest.uuid, NAME);
  return file && createHash('sha512').update(await readFile(file.path)).digest('hex');
};
/** The share has noted of the file what its sender says, and it is so. */
async function expectProven(proof: ImageProof): Promise<void> {
  const file = await served.share.received(guest.uuid, NAME);
  expect(file?.proof).toBe(proof.value);
  expect(await proofOf(file!.path, proof)).toEqual(proof);
}
const viaRelay = async (): Promise<TcpRelay> => {
  relay = await TcpRelay.to({ port: served.port });
  guest = { ...guest, url: guest.url.replace(`:${served.port}/`, `:${relay.port}/`) };
  return relay;
};

test('an image arrives whole, and its proof is that of what the share holds', async () => {
  await start();
  const seen: number[] = [];
  const { proof, wireBytes } = await uploadImage(guest, NAME, 20 * MIB, pieces(20), { ...options(), onProgress: (bytesSent) => seen.push(bytesSent) });
  expect(wireBytes).toBe(20 * MIB);
  expect(await received()).toBe(digestOf(20));
  await expectProven(proof);
  expect(seen.at(-1)).toBe(20 * MIB);
});

test('one that is compressed on its way is less on the wire, and the same at the share', async () => {
  await start();
  async function* plain(): AsyncGenerator<Buffer> {
    for (let count = 0; count < 20; count += 1) yield Buffer.alloc(MIB, 'much of the same ');
  }
  const { proof, wireBytes } = await uploadImage(guest, NAME, 20 * MIB, plain(), { ...options(), compressed: true });
  await expectProven(proof);
  expect(wireBytes).toBeLessThan(MIB);
});

test('over TLS only the very certificate that was named is trusted', async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'share' }], { keyType: 'ec' });
  await start({ tls: { key, cert } });
  const { proof } = await uploadImage({ ...guest, ca: cert }, NAME, MIB, pieces(1), options());
  await expectProven(proof);
  const { cert: other } = await generate([{ name: 'commonName', value: 'share' }], { keyType: 'ec' });
  await expect(uploadImage({ ...guest, ca: other }, 'other', MIB, pieces(1), options())).rejects.toThrow(/connection to the share .* broke/);
});

describe('a refusal comes before the data, and is told apart from what may pass', () => {
  test('a credential that opens nothing', async () => {
    await start();
    const made = { count: 0 };
    await expect(uploadImage({ ...guest, password: 'wrong' }, NAME, 20 * MIB, pieces(20, made), options())).rejects.toThrow(UploadRefused);
    expect(made.count).toBe(0);
  });

  test('an image beyond the quota', async () => {
    await start({}, 5 * MIB);
    await expect(uploadImage(guest, NAME, 20 * MIB, pieces(20), options())).rejects.toThrow(/507/);
    expect(await received()).toBeNull();
  });
});

describe('nothing counts as sent', () => {
  test('when the connection is cut in the middle: another try is possible, and succeeds', async () => {
    await start();
    const wire = await viaRelay();
    const first = uploadImage(guest, NAME, 50 * MIB, pieces(50), options());
    first.catch(() => undefined);
    await until('some of it has arrived', () => wire.forwardedBytes > 2 * MIB);
    wire.cut();
    const error: unknown = await first.catch((reason: unknown) => reason);
    expect(error).not.toBeInstanceOf(UploadRefused);
    expect(String(error)).toMatch(/connection to the share .* broke/);
    expect(await received()).toBeNull();
    wire.mend();
    const { proof } = await uploadImage(guest, NAME, 50 * MIB, pieces(50), options());
    await expectProven(proof);
  });

  test('when the disk fails in the middle: its error is the one that is told', async () => {
    await start();
    async function* failing(): AsyncGenerator<Buffer> {
      yield* pieces(3);
      throw new Error('sda cannot be read at 3145728');
    }
    await expect(uploadImage(guest, NAME, 20 * MIB, failing(), options())).rejects.toThrow(/sda cannot be read/);
    await until('the share has let go of it', async () => (await received()) === null && served.share.bytesReceived(guest.uuid) === 0);
  });

  test('when it is stopped', async () => {
    await start();
    const wire = await viaRelay();
    const stopped = new AbortController();
    const sending = uploadImage(guest, NAME, 50 * MIB, pieces(50), options(stopped.signal));
    sending.catch(() => undefined);
    await until('some of it has arrived', () => wire.forwardedBytes > MIB);
    stopped.abort(new Error('stopped on request'));
    await expect(sending).rejects.toThrow('stopped on request');
    await until('the share has let go of it', async () => (await received()) === null && served.share.bytesReceived(guest.uuid) === 0);
  });
});

test('a share that takes nothing holds the sender back: hardly more is read than the wire holds', async () => {
  await start();
  const wire = await viaRelay();
  const made = { count: 0 };
  const stopped = new AbortController();
  const sending = uploadImage(guest, NAME, 400 * MIB, pieces(400, made), options(stopped.signal));
  sending.catch(() => undefined);
  await until('it has begun', () => wire.forwardedBytes > MIB);
  wire.pause();
  let before = -1;
  await until('it stands still', async () => {
    const still = made.count === before;
    before = made.count;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return still;
  });
  expect(made.count).toBeLessThan(200);
  wire.resume();
  stopped.abort(new Error('seen enough'));
  await expect(sending).rejects.toThrow('seen enough');
}, 60_000);
