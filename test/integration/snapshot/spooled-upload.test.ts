/** From the spool to an image service: a real share, a real agent's upload, a real image service. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readlink, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SnapshotDiskRow } from '../../../conductor/db/rows.ts';
import type { SnapshotTask } from '../../../conductor/drivers/interfaces.ts';
import { uploadImage } from '../../../conductor/drivers/snapshot/image-upload.ts';
import { confirmIntermediateImage } from '../../../conductor/drivers/snapshot/intermediate-image.ts';
import { readSpooled } from '../../../conductor/drivers/snapshot/spooled-image.ts';
import { UploadSpeed } from '../../../conductor/drivers/snapshot/upload-speed.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer, listenImageServer } from '../../../image-service/embedded/server.ts';
import type { ImageProof } from '../../../protocol/image-proof.ts';
import { createLogger } from '../../../protocol/log.ts';
import { uploadImage as sendImage } from '../../../ramdisk-agent/capture/image-upload.ts';
import { dataOf } from '../../rig/image-data.ts';
import { until } from '../../rig/until.ts';
import { pathOf, send, ServedShare, type Guest } from '../../unit/webdav/served-share.ts';

const MIB = 1024 ** 2;
const NAME = 'disk.qcow2';
const IMAGE = randomBytes(5 * MIB + 17);
const DIGEST = createHash('sha512').update(IMAGE).digest('hex');
const log = createLogger('spooled', 'silent');

let directory: string;
let served: ServedShare;
let guest: Guest;
let service: Awaited<ReturnType<typeof listenImageServer>>;
let images: GlanceClient;
let uploads: number;
let disk: SnapshotDiskRow;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-spooled-'));
  service = await listenImageServer(createImageServer({ directory, log }), { host: '127.0.0.1', port: 0 });
  images = new GlanceClient({ url: service.url, token: { token: () => Promise.resolve(undefined), projectId: () => Promise.resolve(null) }, timeoutMs: 10_000, stallTimeoutMs: 3_000, log });
  const upload = images.upload.bind(images);
  uploads = 0;
  images.upload = (...parameters) => {
    uploads += 1;
    return upload(...parameters);
  };
  const { id } = await images.create({ name: 'holder' });
  disk = { id: 1, snapshotId: 1, position: 0, imageRef: id, heldImageRef: id, imageName: NAME, formatsSet: [], sizeBytes: IMAGE.length, virtualSizeBytes: null, proof: null, osHashAlgo: null, osHashValue: null, device: null, report: null, receivedBy: null };
  served = await ServedShare.start();
  guest = await served.invite();
});
afterEach(async () => {
  await served.stop();
  await service.close();
  await rm(directory, { recursive: true, force: true });
});

const path = (): string => join(served.directory, guest.uuid, NAME);
const noted = (patch: Partial<SnapshotDiskRow>): Partial<SnapshotDiskRow> => Object.assign((disk = { ...disk, ...patch }), patch);

const task = (): SnapshotTask =>
  ({
    snapshot: { uuid: guest.uuid, get disks() { return [disk]; } },
    images,
    share: served.share,
    limits: { requeueTimeoutMs: 10_000, uploadAttempts: 3, uploadRetryPauseMs: 10 },
    log,
    signal: new AbortController().signal,
    saveSnapshot: () => Promise.resolve(),
    saveDisk: (_position: number, patch: Partial<SnapshotDiskRow>) => Promise.resolve(void noted(patch)),
    inventory: () => Promise.resolve(null),
    noteEvent: () => Promise.resolve(), // there is no manifest of a disk that nobody has described
  }) as unknown as SnapshotTask;

/** The image comes as a stream, as an agent sends and reports it. */
async function stream(): Promise<void> {
  const { proof } = await sendImage(guest, NAME, IMAGE.length, dataOf([IMAGE]).open() as AsyncIterable<Buffer>, { signal: new AbortController().signal, answerTimeoutMs: 10_000, onProgress: () => undefined });
  noted({ proof });
}

/** As a file over WebDAV, as davfs2 sends it. */
async function put(): Promise<void> {
  expect((await send(served, 'PUT', pathOf(guest, NAME), { guest, body: IMAGE })).status).toBe(201);
  noted({ proof: { algo: 'sha512', value: DIGEST }, osHashAlgo: 'sha512', osHashValue: DIGEST });
}

async function flip(offset: number): Promise<void> {
  const file = await open(path(), 'r+');
  try {
    await file.write(Buffer.from([(IMAGE[offset] ?? 0) ^ 1]), 0, 1, offset);
  } finally {
    await file.close();
  }
}

const upload = (): Promise<unknown> => uploadImage(task(), new UploadSpeed());
const holder = (): Promise<unknown> => images.show(disk.imageRef);
const expectActive = async (): Promise<void> => expect(await holder()).toMatchObject({ status: 'active', size: IMAGE.length, os_hash_algo: 'sha512', os_hash_value: DIGEST });

describe.each([
  ['a stream', stream],
  ['a file of the mount', put],
])('an image that came as %s', (_, arrive) => {
  beforeEach(() => arrive());

  test('is confirmed and uploaded, and its digest is known', async () => {
    await confirmIntermediateImage(task());
    expect(disk.receivedBy).toBe('spool');
    await upload();
    expect(disk).toMatchObject({ osHashAlgo: 'sha512', osHashValue: DIGEST });
    await expectActive();
    expect(uploads).toBe(1);
  });

  test('is not confirmed when the agent reports another one', async () => {
    noted({ proof: { ...disk.proof, value: disk.proof?.['algo'] === 'sha512' ? 'f'.repeat(128) : 'f'.repeat(32) } });
    await expect(confirmIntermediateImage(task())).rejects.toThrow(/^disk.qcow2 on the share has .* the agent reports f+: the data was changed on its way/);
  });

  test('is not confirmed without a report of what proves it', async () => {
    noted({ proof: null });
    await expect(confirmIntermediateImage(task())).rejects.toThrow(/has not reported what disk.qcow2 is proven by/);
  });

  test('is read once more by a conductor that has not seen it come, and confirmed', async () => {
    served = await served.restart();
    expect((await served.share.received(guest.uuid, NAME))?.proof).toBeUndefined();
    await confirmIntermediateImage(task());
    expect(disk.receivedBy).toBe('spool');
  });

  test('is not confirmed by such a conductor when the disk has changed one bit of it meanwhile', async () => {
    served = await served.restart(() => flip(MIB));
    await expect(confirmIntermediateImage(task())).rejects.toThrow(/the data was changed on its way, or since/);
  });

  test.each([
    ['its first byte', 0],
    ['its last byte', IMAGE.length - 1],
  ])('never becomes an image when %s is changed on the spool: it is queued again, and not tried again', async (_where, offset) => {
    await confirmIntermediateImage(task());
    await flip(offset);
    await expect(upload()).rejects.toThrow(/could not be uploaded.*the data was changed on its way, or since/);
    expect(uploads).toBe(1);
    await until('the holder is queued again', async () => ((await holder()) as { status: string }).status === 'queued');
  });

  test.each([['by a byte', IMAGE.length - 1], ['wholly', 0]])('never becomes an image when it is cut on the spool %s: nothing is sent', async (_how, sizeBytes) => {
    await confirmIntermediateImage(task());
    await truncate(path(), sizeBytes);
    await expect(upload()).rejects.toThrow(`has ${sizeBytes} bytes on the spool, the agent sent ${IMAGE.length}`);
    expect(uploads).toBe(0);
    expect(await holder()).toMatchObject({ status: 'queued' });
  });

  test('is compared with what the holder has already, as that of a relay whose answer was lost', async () => {
    await images.setFormats(disk.imageRef, { disk_format: 'qcow2', container_format: 'bare' });
    await images.upload(disk.imageRef, dataOf([IMAGE]), IMAGE.length, { signal: new AbortController().signal });
    await upload();
    expect(disk.osHashValue).toBe(DIGEST);
    expect(uploads).toBe(1);
  });

  test('is not taken for what the holder has already when that is something else', async () => {
    const other = randomBytes(IMAGE.length);
    await images.setFormats(disk.imageRef, { disk_format: 'qcow2', container_format: 'bare' });
    await images.upload(disk.imageRef, dataOf([other]), other.length, { signal: new AbortController().signal });
    await expect(upload()).rejects.toThrow(/does not hold the data that was sent: os_hash_value/);
  });

  test('is closed by whoever stops reading it early', async () => {
    const { proof } = disk;
    const data = readSpooled({ path: path(), sizeBytes: IMAGE.length, proof: proof as ImageProof }, () => undefined);
    for await (const piece of data) {
      expect(IMAGE.subarray(0, (piece as Buffer).length).equals(piece as Buffer)).toBe(true);
      break;
    }
    await until('the file is closed', async () => !(await openFiles()).includes(path()));
  });
});

async function openFiles(): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd');
  return await Promise.all(descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')));
}

test('a stream that was sent twice is confirmed by whichever of its codes the agent reports', async () => {
  await stream();
  const { proof } = disk;
  await stream();
  noted({ proof });
  await confirmIntermediateImage(task());
  expect(disk.receivedBy).toBe('spool');
});

test('the digest of a relay that was followed by a stream to the spool is not taken for that of what is there', async () => {
  await stream();
  noted({ osHashAlgo: 'sha512', osHashValue: 'f'.repeat(128) });
  await confirmIntermediateImage(task());
  expect(disk).toMatchObject({ osHashAlgo: null, osHashValue: null });
  await upload();
  await expectActive();
});

test('the digest is noted before the image service has the last of the image: a conductor that dies then knows what is there', async () => {
  await stream();
  let statusAtDigest: unknown;
  const noting = { ...task(), saveDisk: async (_position: number, patch: Partial<SnapshotDiskRow>) => {
    if (patch.osHashValue !== undefined) statusAtDigest = ((await holder()) as { status: string }).status;
    noted(patch);
  } };
  Object.defineProperty(noting, 'snapshot', { value: task().snapshot });
  await uploadImage(noting, new UploadSpeed());
  expect(statusAtDigest).toBe('saving');
  await expectActive();
});
