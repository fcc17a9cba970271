/** What only the embedded image service promises: it survives its process, and leaves nothing half-made. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createImageServer, listenImageServer } from '../../../image-service/embedded/server.ts';
import { createLogger } from '../../../protocol/log.ts';
import { DIST } from '../../rig/dist.ts';
import { ProgramProcess } from '../../rig/program-process.ts';
import { ImageApi } from './image-api.ts';

const MIB = 1024 ** 2;
const SCRIPTS = new URL('.', import.meta.url).pathname;
let directory: string;
const started: ProgramProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'embedded-images-'));
});
afterEach(async () => {
  for (const service of started.splice(0)) await service.stop();
  await rm(directory, { recursive: true, force: true });
});

async function startProcess(): Promise<{ service: ProgramProcess; api: ImageApi }> {
  const service = new ProgramProcess('image service', join(SCRIPTS, 'embedded-process.mjs'), [DIST, directory, '0']);
  started.push(service);
  const { url } = await service.line('listening', (line) => line.msg === 'listening');
  return { service, api: new ImageApi(url as string) };
}

/** The files below the images' directory, without the metadata of images. */
const dataFiles = async (): Promise<string[]> => (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile() && !entry.name.endsWith('.json')).map((entry) => entry.name);

test('kill -9 in the middle of an upload: after the restart the image is queued, nothing is left, other images are as they were', async () => {
  const { service, api } = await startProcess();
  const data = Buffer.from('stays');
  const whole = await api.create({ name: 'whole', tags: ['t'], purpose: 'test' });
  expect((await api.upload(whole, data)).status).toBe(204);
  const before = await api.show(whole);
  const deleted = await api.create();
  expect((await api.send('DELETE', `/v2/images/${deleted}`)).status).toBe(204);
  const cut = await api.create({ name: 'cut' });
  await api.beginUpload(cut, Buffer.alloc(MIB), 2 * MIB);
  await service.kill();

  const { api: again } = await startProcess();
  expect(await again.show(whole)).toEqual(before);
  expect((await again.download(whole)).text).toBe(data.toString());
  expect(await again.show(cut)).toMatchObject({ name: 'cut', status: 'queued', size: null });
  expect(await dataFiles()).toEqual([whole]);
  expect((await again.post({ id: deleted })).status).toBe(409);
  expect((await again.upload(cut, data)).status).toBe(204);
});

test('SIGTERM ends an upload under way at once and leaves nothing of it', async () => {
  const { service, api } = await startProcess();
  const id = await api.create();
  await api.beginUpload(id, Buffer.alloc(MIB), 2 * MIB);
  await service.stop(10_000);
  expect(await dataFiles()).toEqual([]);
});

test('data without an image, and metadata that was never finished, are removed at the start', async () => {
  const { service, api } = await startProcess();
  const id = await api.create();
  await service.stop();
  await writeFile(join(directory, 'data', id), 'committed, but the metadata was not');
  await writeFile(join(directory, 'data', randomUUID()), 'of an image that was deleted');
  await writeFile(join(directory, 'images', `${id}.json.new`), '{"id":');
  const { api: again } = await startProcess();
  expect(await again.status(id)).toBe('queued');
  expect(await dataFiles()).toEqual([]);
});

test('damaged metadata stops the start with the name of the file: no image is passed over in silence', async () => {
  const { service, api } = await startProcess();
  const id = await api.create();
  await service.stop();
  const path = join(directory, 'images', `${id}.json`);
  await writeFile(path, (await readFile(path, 'utf8')).slice(0, 40));
  const images = createImageServer({ directory, log: createLogger('image-service', 'silent') });
  await expect(images.ready()).rejects.toThrow(path);
});

test('an image whose data has disappeared says so', async () => {
  const { api } = await startProcess();
  const id = await api.create();
  await api.upload(id, 'data');
  await rm(join(directory, 'data', id));
  expect(await api.download(id)).toMatchObject({ status: 404, text: expect.stringContaining('missing from the store') });
});

test('an upload that is cut or deleted leaves no file', async () => {
  const { api } = await startProcess();
  const [cut, deleted] = [await api.create(), await api.create()];
  const first = await api.beginUpload(cut, Buffer.alloc(MIB), 2 * MIB);
  const second = await api.beginUpload(deleted, Buffer.alloc(MIB), 2 * MIB);
  first.break('reset');
  await api.untilQueued(cut);
  await api.send('DELETE', `/v2/images/${deleted}`);
  expect((await second.finish(Buffer.alloc(MIB))).status).toBe(410);
  expect(await dataFiles()).toEqual([]);
});

test('a change that is made while data arrives is kept', async () => {
  const { api } = await startProcess();
  const id = await api.create();
  const upload = await api.beginUpload(id, Buffer.alloc(10), 20);
  await api.patch(id, [{ op: 'replace', path: '/name', value: 'renamed' }]);
  expect((await upload.finish(Buffer.alloc(10))).status).toBe(204);
  expect(await api.show(id)).toMatchObject({ name: 'renamed', status: 'active', size: 20 });
});

test('twenty requests at once for the same id: one image', async () => {
  const { api } = await startProcess();
  const id = randomUUID();
  const statuses = (await Promise.all(Array.from({ length: 20 }, () => api.post({ id })))).map((reply) => reply.status);
  expect(statuses.sort()).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
});

test('a JSON body above 1 MiB is refused', async () => {
  const { api } = await startProcess();
  expect((await api.post({ name: 'x', purpose: 'x'.repeat(2 * MIB) })).status).toBe(413);
});

test('a port that is taken is an error that says what to do', async () => {
  const { api } = await startProcess();
  const other = createImageServer({ directory: join(directory, 'other'), log: createLogger('image-service', 'silent') });
  await expect(listenImageServer(other, { host: '127.0.0.1', port: Number(new URL(api.url).port) })).rejects.toThrow(/another program does; choose another port/);
});

test('512 MiB pass through server and client with the memory of 1 MiB', async () => {
  const { service, api } = await startProcess();
  const peakBytes = async (): Promise<number> => 1024 * Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${service.pid}/status`, 'utf8'))?.[1]);
  const sizes = [8 * MIB, 512 * MIB];
  const transfer = new ProgramProcess('transfer', join(SCRIPTS, 'transfer-process.mjs'), [DIST, api.url, join(directory, 'sparse'), ...sizes.map(String)]);
  started.push(transfer);
  await transfer.line('the small file', (line) => line.sizeBytes === sizes[0], 60_000);
  const serverBefore = await peakBytes();
  expect((await transfer.ended()).code).toBe(0);
  const lines = transfer.lines.filter((line) => line.msg === 'transferred');
  expect(lines.map((line) => line.received)).toEqual(sizes);
  const [before, after] = lines.map((line) => line.peakBytes as number) as [number, number];
  const growth = { client: after - before, server: (await peakBytes()) - serverBefore };
  expect(growth.client).toBeLessThan(128 * MIB);
  expect(growth.server).toBeLessThan(128 * MIB);
  const [image] = (await api.list('size_min=500000000')).images;
  expect(image?.os_hash_value).toBe(createHash('sha512').update(Buffer.alloc(512 * MIB)).digest('hex'));
}, 120_000);
