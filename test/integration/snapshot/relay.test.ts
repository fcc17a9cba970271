/** Images that go straight from a machine to the image service: the share, the relay and a real image service. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SnapshotDiskRow } from '../../../conductor/db/rows.ts';
import type { SnapshotTask } from '../../../conductor/drivers/interfaces.ts';
import { chooseReceiver } from '../../../conductor/drivers/snapshot/image-receiver.ts';
import { UploadSpeed } from '../../../conductor/drivers/snapshot/upload-speed.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer, listenImageServer } from '../../../image-service/embedded/server.ts';
import type { SnapshotOptions } from '../../../protocol/capture.ts';
import { IMAGE_KEY_HEADER, IMAGE_MAC_TRAILER, IMAGE_SIZE_HEADER } from '../../../protocol/image-stream.ts';
import { newMacKey } from '../../../protocol/stream-mac.ts';
import { createLogger } from '../../../protocol/log.ts';
import { InvalidParameterError, OperationFailedError } from '../../../protocol/errors.ts';
import { UploadRefused, uploadImage } from '../../../ramdisk-agent/capture/image-upload.ts';
import { TcpRelay } from '../../rig/tcp-relay.ts';
import { until } from '../../rig/until.ts';
import { ServedShare, type Guest } from '../../unit/webdav/served-share.ts';

const MIB = 1024 ** 2;
const NAME = 'disk.qcow2';
const log = createLogger('relay', 'silent');
const block = randomBytes(MIB);

let directory: string;
let served: ServedShare;
let guest: Guest;
let service: Awaited<ReturnType<typeof listenImageServer>>;
let toService: TcpRelay;
let toShare: TcpRelay;
let images: GlanceClient;
let disk: SnapshotDiskRow;
let saved: Partial<SnapshotDiskRow>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-relay-'));
  service = await listenImageServer(createImageServer({ directory, log }), { host: '127.0.0.1', port: 0 });
  toService = await TcpRelay.to({ port: Number(new URL(service.url).port) });
  images = new GlanceClient({ url: `http://127.0.0.1:${toService.port}`, token: { token: () => Promise.resolve(undefined), projectId: () => Promise.resolve(null) }, timeoutMs: 10_000, stallTimeoutMs: 3_000, log });
  const { id } = await images.create({ name: 'holder' });
  disk = { id: 1, snapshotId: 1, position: 0, imageRef: id, heldImageRef: id, imageName: NAME, formatsSet: [], sizeBytes: null, virtualSizeBytes: null, proof: null, osHashAlgo: null, osHashValue: null, device: null, report: null, receivedBy: null };
  saved = {};
  served = await ServedShare.start();
  toShare = await TcpRelay.to({ port: served.port });
});
afterEach(async () => {
  await toShare.close();
  await served.stop();
  await toService.close();
  await service.close();
  await rm(directory, { recursive: true, force: true });
});

interface Situation {
  storage?: NonNullable<SnapshotOptions['intermediate_storage']>;
  speed?: UploadSpeed;
  captureBytesPerS?: number;
  freeBytes?: number;
  stallTimeoutMs?: number;
}

/** A snapshot whose agent may send. */
async function admit({ storage = 'relay', speed = new UploadSpeed(), captureBytesPerS, freeBytes = 1024 ** 4, stallTimeoutMs = 60_000 }: Situation = {}): Promise<void> {
  guest = await served.invite();
  const task = {
    snapshot: { uuid: randomUUID(), disks: [disk], prediction: captureBytesPerS === undefined ? null : { image_bytes: 60 * captureBytesPerS, read_bytes: 60 * captureBytesPerS, disk_bytes_per_s: captureBytesPerS, link_bytes_per_s: null, duration_s: 60 } },
    images,
    share: { freeBytes: () => Promise.resolve(freeBytes) },
    limits: { requeueTimeoutMs: 10_000, spoolReserveBytes: 0, stallTimeoutMs },
    log,
    signal: new AbortController().signal,
    saveDisk: (_position: number, patch: Partial<SnapshotDiskRow>) => {
      saved = { ...saved, ...patch };
      return Promise.resolve();
    },
  } as unknown as SnapshotTask;
  await served.share.open(guest.uuid, 1024 ** 3, chooseReceiver(task, disk, storage, speed));
  guest = { ...guest, url: guest.url.replace(`:${served.port}/`, `:${toShare.port}/`) };
}

async function* pieces(count: number, change: (piece: Buffer, index: number) => Buffer = (piece) => piece): AsyncGenerator<Buffer> {
  for (let index = 0; index < count; index += 1) yield change(block, index);
}
const digestOf = (count: number): string => {
  const digest = createHash('sha512');
  for (let index = 0; index < count; index += 1) digest.update(block);
  return digest.digest('hex');
};
const send = (count: number, source: AsyncIterable<Buffer> = pieces(count), signal = new AbortController().signal): ReturnType<typeof uploadImage> => uploadImage(guest, NAME, count * MIB, source, { signal, answerTimeoutMs: 30_000, onProgress: () => undefined });
const spooled = async (): Promise<string[]> => (await readdir(join(served.directory, guest.uuid))).filter((name) => !name.startsWith('.quota'));

async function expectQueued(): Promise<void> {
  await until('the holder is queued again', async () => (await images.show(disk.imageRef))?.status === 'queued');
  expect(saved.receivedBy).toBeUndefined();
  expect(await spooled()).toEqual([]);
}

test('an image goes through whole, with nothing on the spool, and the digest of what came is known, which the service has to have', async () => {
  await admit();
  await send(40);
  const os_hash_value = digestOf(40);
  expect(await images.show(disk.imageRef)).toMatchObject({ status: 'active', size: 40 * MIB, os_hash_algo: 'sha512', os_hash_value, disk_format: 'qcow2', container_format: 'bare' });
  expect(saved).toMatchObject({ receivedBy: 'relay', sizeBytes: 40 * MIB, osHashAlgo: 'sha512', osHashValue: os_hash_value });
  expect(await spooled()).toEqual([]);
});

describe('the image never becomes active, and its holder is free again,', () => {
  test('when the sender dies before the last byte', async () => {
    await admit();
    const stopped = new AbortController();
    async function* dying(): AsyncGenerator<Buffer> {
      yield* pieces(19);
      stopped.abort(new Error('the machine lost power'));
      yield block;
    }
    await expect(send(20, dying(), stopped.signal)).rejects.toThrow('the machine lost power');
    await expectQueued();
  });

  test('when the connection is cut in the middle; and the same holder then receives the whole image', async () => {
    await admit();
    const sending = send(60);
    sending.catch(() => undefined);
    await until('the service has some of it', () => toService.forwardedBytes > 4 * MIB);
    toShare.cut();
    await expect(sending).rejects.toThrow(/connection to the share/);
    await expectQueued();
    toShare.mend();
    await send(60);
    expect(await images.show(disk.imageRef)).toMatchObject({ status: 'active', os_hash_value: digestOf(60) });
  });

  test.each([
    ['what arrives is not what was sent', 'f'.repeat(32), 500],
    ['no code of what was sent comes', null, 400],
  ])('when %s', async (_, mac, status) => {
    await admit();
    const answer = await new Promise<{ statusCode?: number }>((resolve, reject) => {
      const request = httpRequest(new URL(NAME, guest.url), { method: 'PUT', agent: false, auth: `${guest.username}:${guest.password}`, headers: { 'Transfer-Encoding': 'chunked', [IMAGE_SIZE_HEADER]: MIB, [IMAGE_KEY_HEADER]: newMacKey(), Trailer: IMAGE_MAC_TRAILER } });
      request.once('error', reject).once('response', resolve);
      request.write(block);
      if (mac !== null) request.addTrailers({ [IMAGE_MAC_TRAILER]: mac });
      request.end();
    });
    expect(answer.statusCode).toBe(status);
    await expectQueued();
  });

  test('when the service dies: the sender is told soon', async () => {
    await admit();
    const sending = send(200);
    sending.catch(() => undefined);
    await until('the service has some of it', () => toService.forwardedBytes > 4 * MIB);
    toService.cut();
    await expect(sending).rejects.toThrow();
    toService.mend();
    await expectQueued();
  });

  test('when the service takes no more bytes for its time', async () => {
    await admit();
    const sending = send(200);
    sending.catch(() => undefined);
    await until('the service has some of it', () => toService.forwardedBytes > 4 * MIB);
    toService.pause();
    await expect(sending).rejects.toThrow(/has accepted no data for 3 s/);
    toService.resume();
    await expectQueued();
  }, 30_000);

  test('when the snapshot is given up: removing it ends the stream', async () => {
    await admit();
    const sending = send(200);
    sending.catch(() => undefined);
    await until('the service has some of it', () => toService.forwardedBytes > 4 * MIB);
    await served.share.remove(guest.uuid);
    await expect(sending).rejects.toThrow();
    await until('the holder is queued again', async () => (await images.show(disk.imageRef))?.status === 'queued');
  });
});

test.each([
  ['for good: the agent does not try it again, nor by another way', false, 424, UploadRefused],
  ['for now: the agent tries it again', true, 502, OperationFailedError],
])('what the service refuses %s', async (_, retryable, status, kind) => {
  await admit();
  images.upload = () => Promise.reject(new InvalidParameterError('not here', { retryable }));
  const error: unknown = await send(2).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ constructor: kind, message: expect.stringMatching(new RegExp(`${status}.*not here`)) });
  expect(error).not.toMatchObject({ takesNoStream: true });
});

test('an image that is deleted meanwhile fails the stream', async () => {
  await admit();
  const sending = send(200);
  sending.catch(() => undefined);
  await until('the service has some of it', () => toService.forwardedBytes > 4 * MIB);
  await images.delete(disk.imageRef);
  await expect(sending).rejects.toThrow();
  expect(await images.show(disk.imageRef)).toBeNull();
});

test('the service has to answer before the agent, which waits for us, gives us up', async () => {
  await admit({ stallTimeoutMs: 40_000 });
  const upload = images.upload.bind(images);
  const limits: unknown[] = [];
  images.upload = (id, data, sizeBytes, options) => {
    limits.push(options.answerTimeoutMs);
    return upload(id, data, sizeBytes, options);
  };
  await send(1);
  expect(limits).toEqual([30_000]);
});

test('a sender whose answer was lost sends again, and is told that the service has it', async () => {
  await admit();
  await send(5);
  saved = {};
  await send(5);
  expect(saved).toMatchObject({ receivedBy: 'relay', sizeBytes: 5 * MIB, osHashValue: digestOf(5) });
  expect(await images.show(disk.imageRef)).toMatchObject({ status: 'active', os_hash_value: digestOf(5) });
  await expect(send(5, pieces(5, (piece, index) => (index === 2 ? randomBytes(piece.length) : piece)))).rejects.toThrow(/does not hold the data that was sent/);
});

describe('where the choice is ours,', () => {
  test('the spool is taken as long as nothing is known of the service', async () => {
    await admit({ storage: 'auto' });
    await send(3);
    expect(await spooled()).toEqual([NAME]);
    expect(await images.show(disk.imageRef)).toMatchObject({ status: 'queued' });
  });

  test('a service as fast as the capture gets it at once', async () => {
    const speed = new UploadSpeed();
    speed.note(1_000 * MIB, 10_000); // 100 MiB/s
    await admit({ storage: 'auto', speed, captureBytesPerS: 50 * MIB });
    await send(3);
    expect(saved.receivedBy).toBe('relay');
  });

  test('what has come there is sent there again by a sender that missed the answer, however slow the service is by now', async () => {
    const speed = new UploadSpeed();
    await admit({ storage: 'auto', speed, freeBytes: 2 * MIB });
    await send(3);
    expect(saved.receivedBy).toBe('relay');
    disk = { ...disk, ...saved };
    speed.note(1_000 * MIB, 100_000);
    await admit({ storage: 'auto', speed, captureBytesPerS: 50 * MIB });
    saved = {};
    await send(3);
    expect(saved.receivedBy).toBe('relay');
    expect(await spooled()).toEqual([]);
  });

  test('a service that is slower gets it from the spool', async () => {
    const speed = new UploadSpeed();
    speed.note(1_000 * MIB, 100_000);
    await admit({ storage: 'auto', speed, captureBytesPerS: 50 * MIB });
    await send(3);
    expect(await spooled()).toEqual([NAME]);
  });

  test('an image for which the spool had room until another came is relayed', async () => {
    await served.stop();
    served = await ServedShare.start({ reserveBytes: Number.MAX_SAFE_INTEGER });
    await toShare.close();
    toShare = await TcpRelay.to({ port: served.port });
    await admit({ storage: 'auto' });
    await send(3);
    expect(saved.receivedBy).toBe('relay');
    await admit({ storage: 'spool' });
    await expect(send(3)).rejects.toThrow(/507/);
  });

  test('an image that the spool has no room for is relayed', async () => {
    await admit({ storage: 'auto', freeBytes: 2 * MIB });
    await send(3);
    expect(saved.receivedBy).toBe('relay');
  });
});
