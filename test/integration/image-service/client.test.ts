/** What the workflow relies on in our client, against the embedded image service and a real Glance. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { verifyUploaded } from '../../../image-service/verify-uploaded.ts';
import type { ImageService } from '../../../conductor/drivers/interfaces.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { createLogger } from '../../../protocol/log.ts';
import { startGlance } from '../../peers/glance.ts';
import { ImageApi } from './image-api.ts';
import { SERVER_KINDS, type RunningServer } from './servers.ts';
import { dataOf, fileData } from '../../rig/image-data.ts';

const MISSING = '99999999-9999-4999-8999-999999999999';
const FORMATS = { disk_format: 'raw', container_format: 'bare' };
const log = createLogger('client', 'silent');
const unaborted = (): AbortSignal => new AbortController().signal;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-client-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function spooledFile(data: Buffer): Promise<{ path: string; sizeBytes: number; osHashValue: string }> {
  const path = join(directory, 'spooled');
  await writeFile(path, data);
  return { path, sizeBytes: data.length, osHashValue: createHash('sha512').update(data).digest('hex') };
}

describe.each(SERVER_KINDS)('$name', (kind) => {
  let server: RunningServer;
  let client: GlanceClient;
  let api: ImageApi;
  beforeAll(async () => {
    server = await kind.start();
    client = new GlanceClient({ url: `${server.url}/v2/`, token: noToken, timeoutMs: 20_000, log });
    api = new ImageApi(server.url);
  }, 90_000);
  afterAll(() => server.stop());

  test('is the image service that a snapshot needs', async () => {
    const images: ImageService = client;
    expect(await images.projectId()).toBeNull();
    expect(await images.show(MISSING)).toBeNull();
  });

  test('an upload arrives whole, with progress, and is proven by size and digest', async () => {
    const spooled = await spooledFile(randomBytes(3 * 1024 * 1024 + 17));
    const { id } = await client.create({ name: 'snapshot' });
    await client.setFormats(id, FORMATS);
    const progress: number[] = [];
    await client.upload(id, fileData(spooled.path), spooled.sizeBytes, { signal: unaborted(), onProgress: (bytes) => progress.push(bytes) });
    expect(progress.at(-1)).toBe(spooled.sizeBytes);
    expect(progress).toEqual([...progress].sort((left, right) => left - right));
    const image = await client.show(id);
    verifyUploaded(image, spooled);
    expect(() => verifyUploaded(image, { ...spooled, osHashValue: '0'.repeat(128) })).toThrow(/os_hash_value: expected 0+, found [0-9a-f]{128}/);

    const copy = join(directory, 'copy');
    expect(await client.download(id, createWriteStream(copy))).toEqual({ sizeBytes: spooled.sizeBytes, hashValue: spooled.osHashValue });
    expect((await readFile(copy)).equals(await readFile(spooled.path))).toBe(true);
  });

  test('a stopped upload leaves the image queued, and a second one succeeds', async () => {
    const spooled = await spooledFile(Buffer.alloc(1024));
    await truncate(spooled.path, 256 * 1024 * 1024);
    const { id } = await client.create(FORMATS);
    const stop = new AbortController();
    const upload = client.upload(id, fileData(spooled.path), 256 * 1024 * 1024, { signal: stop.signal, onProgress: () => stop.abort(new Error('the operator aborts')) });
    await expect(upload).rejects.toMatchObject({ message: expect.stringContaining('it was stopped'), data: { retryable: false, stopped: true, status: null, imageStatus: expect.stringMatching(/saving|queued/) } });
    expect(await client.settle(id, { timeoutMs: 10_000 })).toMatchObject({ status: 'queued' });
    const again = await spooledFile(randomBytes(1000));
    await client.upload(id, fileData(again.path), again.sizeBytes, { signal: unaborted() });
    verifyUploaded(await client.show(id), again);
  });

  test('an image that is deleted while data streams: the error says so, no retry', async () => {
    const spooled = await spooledFile(Buffer.alloc(0));
    const sizeBytes = 512 * 1024 * 1024;
    await truncate(spooled.path, sizeBytes);
    const { id } = await client.create(FORMATS);
    let deletion: Promise<void> | undefined;
    const upload = client.upload(id, fileData(spooled.path), sizeBytes, { signal: unaborted(), onProgress: () => void (deletion ??= client.delete(id)) });
    await expect(upload).rejects.toMatchObject({ message: expect.stringContaining('deleted while the upload was under way'), data: { retryable: false, imageStatus: 'missing' } });
    await deletion;
    expect(await client.settle(id, { timeoutMs: 1_000 })).toBeNull();
  }, 60_000);

  test('an image that has data already: refused before any byte is sent, no retry', async () => {
    const spooled = await spooledFile(randomBytes(1000));
    const id = await api.create();
    await api.upload(id, 'first');
    let bytes = 0;
    const upload = client.upload(id, fileData(spooled.path), spooled.sizeBytes, { signal: unaborted(), onProgress: (sent) => (bytes = sent) });
    await expect(upload).rejects.toMatchObject({ message: expect.stringContaining('is not queued'), data: { status: 409, retryable: false, imageStatus: 'active' } });
    expect(bytes).toBe(0);
    expect(await client.settle(id, { timeoutMs: 0 })).toMatchObject({ status: 'active', size: 5 });
  });

  test('an image that another upload is filling: refused, no retry', async () => {
    const spooled = await spooledFile(randomBytes(1000));
    const id = await api.create();
    const other = await api.beginUpload(id, Buffer.alloc(10), 20);
    await expect(client.upload(id, fileData(spooled.path), spooled.sizeBytes, { signal: unaborted() })).rejects.toMatchObject({ data: { status: 409, retryable: false, imageStatus: 'saving' } });
    await expect(client.settle(id, { timeoutMs: 0 })).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('still saving'), data: { retryable: true, imageStatus: 'saving' } });
    const settled = client.settle(id, { timeoutMs: 10_000 });
    expect((await other.finish(Buffer.alloc(10))).status).toBe(204);
    expect(await settled).toMatchObject({ status: 'active', size: 20 }); // an upload may also end well
  });

  test('a missing image, unset formats, a malformed id: refused with the reason', async () => {
    const spooled = await spooledFile(randomBytes(1000));
    const { id } = await client.create({});
    await expect(client.upload(MISSING, fileData(spooled.path), spooled.sizeBytes, { signal: unaborted() })).rejects.toMatchObject({ data: { status: 404, retryable: false, imageStatus: 'missing' } });
    await expect(client.upload(id, fileData(spooled.path), spooled.sizeBytes, { signal: unaborted() })).rejects.toMatchObject({ message: expect.stringContaining('disk_format, container_format must be set'), data: { status: 400, retryable: false, imageStatus: 'queued' } });
    await expect(client.upload('../images', fileData(spooled.path), spooled.sizeBytes, { signal: unaborted() })).rejects.toMatchObject({ httpStatus: 400 });
    await expect(client.show('..%2fx')).rejects.toMatchObject({ httpStatus: 400 });
  });

  test('nothing is not uploaded: the service would take it for an image', async () => {
    const { id } = await client.create(FORMATS);
    await expect(client.upload(id, dataOf([]), 0, { signal: unaborted() })).rejects.toMatchObject({ httpStatus: 400, data: { retryable: false } });
    expect(await client.show(id)).toMatchObject({ status: 'queued' });
  });

  test('a file that is shorter than was announced leaves the image queued', async () => {
    const spooled = await spooledFile(randomBytes(1000));
    const { id } = await client.create(FORMATS);
    await expect(client.upload(id, fileData(spooled.path), 2000, { signal: unaborted() })).rejects.toMatchObject({ data: { status: null } });
    expect(await client.settle(id, { timeoutMs: 10_000 })).toMatchObject({ status: 'queued' });
  });

  test('data that say themselves that they are not what they should be: not tried again, with their reason', async () => {
    const { id } = await client.create(FORMATS);
    async function* damaged(): AsyncGenerator<Buffer> {
      yield randomBytes(1000);
      throw new OperationFailedError('the disk has changed them', { retryable: false });
    }
    await expect(client.upload(id, dataOf(damaged()), 2000, { signal: unaborted() })).rejects.toMatchObject({ message: expect.stringMatching(/the data could not be read .*the stream could not be read: the disk has changed them/), data: { status: null, retryable: false } });
    expect(await client.settle(id, { timeoutMs: 10_000 })).toMatchObject({ status: 'queued' });
  });

  test('formats are set and taken back, images listed over pages, deactivated and deleted', async () => {
    const created = await Promise.all(['one', 'two', 'three'].map((name) => client.create({ name, tags: ['client-list'] })));
    expect((await client.list({ tag: 'client-list', limit: '1' })).map((image) => image.id).sort()).toEqual(created.map((image) => image.id).sort());
    expect(await client.list({ tag: 'client-list' }, 2)).toHaveLength(2);
    const { id } = created[0] as { id: string };
    await client.setFormats(id, FORMATS);
    await client.setFormats(id, { disk_format: null });
    expect(await client.show(id)).toMatchObject({ disk_format: null, container_format: 'bare' });
    await expect(client.deactivate(id)).rejects.toMatchObject({ message: expect.stringContaining('queued'), data: { status: 403 } });
    const full = await api.create();
    await api.upload(full, 'data');
    await client.deactivate(full);
    expect((await client.show(full))?.status).toBe('deactivated');
    await client.delete(full);
    await expect(client.delete(full)).rejects.toMatchObject({ httpStatus: 404 });
    await expect(client.create({ id: full })).rejects.toMatchObject({ httpStatus: 409 });
    await expect(client.download(id, createWriteStream(join(directory, 'none')))).rejects.toMatchObject({ message: expect.stringContaining('has no data') });
  });
});

test('a Glance that is killed while it receives data never frees the image: waiting says so and what to do', async () => {
  const glance = await startGlance();
  try {
    const client = new GlanceClient({ url: glance.url, token: noToken, timeoutMs: 20_000, log });
    const path = join(directory, 'large');
    await writeFile(path, '');
    await truncate(path, 1024 ** 3);
    const { id } = await client.create(FORMATS);
    let killing: Promise<void> | undefined;
    const upload = client.upload(id, fileData(path), 1024 ** 3, { signal: unaborted(), onProgress: () => void (killing ??= glance.kill()) });
    await expect(upload).rejects.toMatchObject({ message: expect.stringContaining('connection to the image service failed'), data: { retryable: true, status: null, imageStatus: 'unknown' } });
    await killing;
    await glance.start();
    await expect(client.settle(id, { timeoutMs: 2_000 })).rejects.toMatchObject({ message: expect.stringMatching(/still saving .* delete it and create a new one/), data: { retryable: true, imageStatus: 'saving' } });
    await client.delete(id);
  } finally {
    await glance.stop();
  }
}, 120_000);
