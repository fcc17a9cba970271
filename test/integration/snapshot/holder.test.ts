/** Where an image goes, before and after an upload that broke: images of a real image service, and a real https server. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SnapshotDiskRow } from '../../../conductor/db/rows.ts';
import type { ImageService, SnapshotTask } from '../../../conductor/drivers/interfaces.ts';
import { notingTaken, prepareHolder, resetHolder } from '../../../conductor/drivers/snapshot/image-upload.ts';
import { createDestinations } from '../../../conductor/images/destinations/destinations.ts';
import { ImageTargets } from '../../../conductor/images/image-targets.ts';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer, listenImageServer } from '../../../image-service/embedded/server.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { PutServer } from '../../rig/put-server.ts';
import { until } from '../../rig/until.ts';
import { DATA, sha512, signal, TIMES } from '../destinations/contract.ts';
import { dataOf } from '../../rig/image-data.ts';

const log = createLogger('holder', 'silent');
const clientOf = (url: string): GlanceClient => new GlanceClient({ url, token: noToken, timeoutMs: 5_000, log });
const NOTED = ['disk_format', 'container_format'];

/** A snapshot whose image has come to the conductor, as far as `known` says. */
class Upload {
  readonly task: SnapshotTask;
  #disk: SnapshotDiskRow;

  constructor(images: ImageService, imageRef: string, known: Partial<SnapshotDiskRow> = {}) {
    this.#disk = { id: 1, snapshotId: 1, position: 0, imageRef, heldImageRef: imageRef, imageName: 'i', formatsSet: [], sizeBytes: DATA.length, virtualSizeBytes: null, proof: { algo: 'sha512', value: sha512(DATA) }, osHashAlgo: 'sha512', osHashValue: sha512(DATA), device: null, report: null, receivedBy: null, ...known };
    const disk = (): SnapshotDiskRow => this.#disk;
    this.task = {
      images,
      log,
      signal,
      limits: { requeueTimeoutMs: 5_000 },
      snapshot: { get disks() { return [disk()]; } },
      saveDisk: (_position: number, patch: Partial<SnapshotDiskRow>) => {
        this.#disk = { ...this.#disk, ...patch };
        return Promise.resolve();
      },
    } as unknown as SnapshotTask;
  }

  get disk(): SnapshotDiskRow {
    return this.#disk;
  }

  prepare = (): Promise<'ready' | 'active'> => prepareHolder(this.task, this.#disk, signal);
  reset = (): Promise<void> => resetHolder(this.task, this.#disk);
}

describe('an image of the image service', () => {
  let directory: string;
  let service: Awaited<ReturnType<typeof listenImageServer>>;
  let images: GlanceClient;
  let id: string;
  let put: ClientRequest;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-holder-'));
    service = await listenImageServer(createImageServer({ directory, log }), { host: '127.0.0.1', port: 0 });
    images = clientOf(service.url);
    ({ id } = await images.create({ name: 'holder', disk_format: 'qcow2', container_format: 'bare' }));
    // an upload whose answer nobody of us waits for any more
    put = httpRequest(`${service.url}/v2/images/${id}/file`, { method: 'PUT', agent: false, headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': DATA.length } });
    put.on('error', () => undefined).on('response', (response) => response.resume());
    put.write(DATA.subarray(0, 1_000));
    await until('the image is saving', async () => (await images.show(id))?.status === 'saving');
  });
  afterEach(async () => {
    put.destroy();
    await service.close();
    await rm(directory, { recursive: true, force: true });
  });

  test('that is still saving when it is looked at and becomes active is whole, and no failure', async () => {
    const upload = new Upload(images, id);
    const [prepared] = [upload.prepare()];
    put.end(DATA.subarray(1_000));
    expect(await prepared).toBe('active');
    await upload.reset();
    expect(await images.show(id)).toMatchObject({ status: 'active', os_hash_value: sha512(DATA) });
  });

  test('whose broken upload is rolled back is ready again', async () => {
    const prepared = new Upload(images, id).prepare();
    put.destroy();
    expect(await prepared).toBe('ready');
  });

  test('that stays saving is worth another try', async () => {
    const upload = new Upload(images, id);
    Object.assign(upload.task.limits, { requeueTimeoutMs: 0 });
    await expect(upload.prepare()).rejects.toMatchObject({ data: { retryable: true }, message: expect.stringMatching(/still saving/) });
  });

  test.each([
    ['while nobody knew what was captured', { osHashValue: null }],
    ['by a relay whose sender missed the answer, and has failed since', { proof: null }],
  ])('that became active %s is deactivated, and named', async (_how, known) => {
    put.end(DATA.subarray(1_000));
    await until('the image is active', async () => (await images.show(id))?.status === 'active');
    await expect(new Upload(images, id, known).reset()).rejects.toThrow(/was deactivated; delete it/);
    expect((await images.show(id))?.status).toBe('deactivated');
  });

  test('that somebody has deactivated receives nothing, another try is of no use, and it is left so', async () => {
    put.end(DATA.subarray(1_000));
    await until('the image is active', async () => (await images.show(id))?.status === 'active');
    await images.deactivate(id);
    const upload = new Upload(images, id, { formatsSet: NOTED });
    await expect(upload.prepare()).rejects.toMatchObject({ message: expect.stringMatching(/became deactivated while .* Name another one, or remove/), data: { retryable: false } });
    await upload.reset();
    expect((await images.show(id))?.status).toBe('deactivated');
    expect(upload.disk.formatsSet).toEqual([]);
  });

  test('that is deleted receives nothing either', async () => {
    await images.delete(id);
    const upload = new Upload(images, id, { formatsSet: NOTED });
    await expect(upload.prepare()).rejects.toMatchObject({ message: expect.stringMatching(/was deleted/), data: { retryable: false } });
    await upload.reset();
    expect(upload.disk.formatsSet).toEqual([]);
  });
});

describe('a place on a server that writes in place, after a conductor that died while it uploaded:', () => {
  const PATH = '/images/web-1.qcow2';
  let server: PutServer;
  let ref: string;
  let images: ImageService;
  beforeEach(async () => {
    server = await PutServer.start();
    ref = `https://127.0.0.1:${server.port}${PATH}`;
    const places = createDestinations({ fileRoots: [], https: [{ prefix: `https://127.0.0.1:${server.port}/images`, ca: server.certificate, authorization: () => Promise.resolve(server.authorization) }], times: TIMES });
    images = new ImageTargets(clientOf('http://127.0.0.1:9'), places.images); // nobody is there: it is not asked
  });
  afterEach(() => server.close());
  const leave = (data: Buffer): void => void server.stored.set(PATH, data);

  test('the half that it left is removed, and the upload begins anew', async () => {
    leave(DATA.subarray(0, 1_000));
    expect(await new Upload(images, ref, { formatsSet: NOTED }).prepare()).toBe('ready');
    expect([...server.stored]).toEqual([]);
  });

  test('what is whole is kept, to be proven', async () => {
    leave(DATA);
    expect(await new Upload(images, ref, { formatsSet: NOTED }).prepare()).toBe('active');
    expect(server.stored.has(PATH)).toBe(true);
  });

  test.each([
    ['a half', DATA.subarray(0, 1_000)],
    ['something whole that is not proven', Buffer.alloc(DATA.length)],
  ])('%s goes with a snapshot that fails', async (_, data) => {
    leave(data);
    const upload = new Upload(images, ref, { formatsSet: NOTED, osHashValue: null });
    await upload.reset();
    expect([...server.stored]).toEqual([]);
    expect(upload.disk.formatsSet).toEqual([]);
  });

  test.each([
    ['was there before we began', DATA.subarray(0, 1_000), { formatsSet: [] }],
    ['is longer than what we sent', Buffer.concat([DATA, DATA]), { formatsSet: NOTED }],
    ['came before we sent anything', DATA.subarray(0, 1_000), { formatsSet: NOTED, sizeBytes: null }],
  ])('what %s is left, and named', async (_, data, known) => {
    leave(data);
    const upload = new Upload(images, ref, known);
    expect(await upload.prepare()).toBe('active');
    await expect(upload.reset()).rejects.toThrow(/may be somebody else's: they were left/);
    expect(server.stored.get(PATH)).toEqual(data);
  });

  test('a manifest that somebody has put there is kept: nothing is sent beside it, and another try is of no use', async () => {
    server.stored.set(`${PATH}.json`, Buffer.from('{}'));
    const upload = new Upload(images, ref, { formatsSet: NOTED });
    await expect(upload.prepare()).rejects.toMatchObject({ message: expect.stringMatching(/became killed while .* put something beside it/), data: { retryable: false } });
    await upload.reset();
    expect([...server.stored.keys()]).toEqual([`${PATH}.json`]);
    expect(upload.disk.formatsSet).toEqual([]);
  });

  test('what somebody was faster with is kept, whatever was noted before', async () => {
    leave(DATA);
    const upload = new Upload(images, ref, { formatsSet: NOTED });
    await expect(notingTaken(upload.task, upload.disk, () => images.upload(ref, dataOf([DATA]), DATA.length, { signal }))).rejects.toThrow(/nothing is overwritten/);
    await expect(new Upload(images, ref, { ...upload.disk, osHashValue: null }).reset()).rejects.toThrow(/may be somebody else's: they were left/);
    expect(server.stored.get(PATH)).toEqual(DATA);
  });
});
