import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServiceOfTests, cli, type Answer, type CliOptions, type ReceivedRequest } from './service-of-tests.ts';

const ID = '0a1b2c3d-0000-4000-8000-000000000001';
const DATA = Buffer.alloc(3 * 1024 * 1024, 'metal');
const sha512 = (data: Buffer): string => createHash('sha512').update(data).digest('hex');

let directory: string;
let service: ServiceOfTests;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cli-images-'));
});
afterEach(async () => {
  await service.stop();
  await rm(directory, { recursive: true, force: true });
});

const image = (more: Record<string, unknown> = {}): Record<string, unknown> => ({ id: ID, name: 'gold', status: 'queued', disk_format: 'qcow2', container_format: 'bare', size: null, os_hash_algo: null, os_hash_value: null, tags: [], ...more });
const active = (data = DATA): Record<string, unknown> => image({ status: 'active', size: data.length, os_hash_algo: 'sha512', os_hash_value: sha512(data) });

async function start(answer: (request: ReceivedRequest) => Answer): Promise<void> {
  service = await ServiceOfTests.start(answer);
}
const images = (argv: string[], options: CliOptions = {}) => cli(['image', ...argv, '--os-image-endpoint', service.url], options);

describe('image create', () => {
  test('makes an empty holder in qcow2 and prints its id for a script', async () => {
    await start(() => ({ status: 201, body: image() }));
    expect(await images(['create', 'gold', '-f', 'value', '-c', 'id'])).toMatchObject({ exitCode: 0, stdout: `${ID}\n`, stderr: '' });
    expect(service.received[0]?.body).toEqual({ name: 'gold', disk_format: 'qcow2', container_format: 'bare' });
  });

  test('--file uploads with its length declared, and compares the digest', async () => {
    await writeFile(join(directory, 'disk'), DATA);
    await start(({ method }) => (method === 'POST' ? { status: 201, body: image() } : method === 'PUT' ? { status: 204 } : { body: active() }));
    const result = await images(['create', 'gold', '--disk-format', 'raw', '--property', 'level=4', '--file', join(directory, 'disk'), '-f', 'json']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({ status: 'active', os_hash_value: sha512(DATA) });
    expect(service.lines).toEqual(['POST /v2/images', `PUT /v2/images/${ID}/file`, `GET /v2/images/${ID}`]);
    expect(service.received[0]?.body).toEqual({ name: 'gold', disk_format: 'raw', container_format: 'bare', level: '4' });
    expect(service.received[1]?.headers).toMatchObject({ 'content-length': String(DATA.length), 'content-type': 'application/octet-stream' });
    expect((service.received[1]?.body as Buffer).equals(DATA)).toBe(true);
  });

  test.each([
    ['is refused', (): Answer => ({ status: 413, body: '<html><head><title>413 Too Large</title></head><body><h1>Too Large</h1>The quota is used up.</body></html>' }), 3, 'Too Large The quota is used up.'],
    ['breaks off', (): Answer => ({ destroy: true }), 6, 'the connection was cut'],
    ['arrives as something else', ({ method }: ReceivedRequest): Answer => (method === 'PUT' ? { status: 204 } : { body: active(Buffer.from('else')) }), 1, 'is not what was transferred'],
  ])('an upload that %s leaves no image behind', async (_how, answer, exitCode, message) => {
    await writeFile(join(directory, 'disk'), DATA);
    await start((request) => (request.method === 'POST' ? { status: 201, body: image() } : request.method === 'DELETE' ? { status: 204 } : answer(request)));
    const result = await images(['create', 'gold', '--file', join(directory, 'disk')]);
    expect(result).toMatchObject({ exitCode, stdout: '' });
    expect(result.stderr).toContain(message);
    expect(result.stderr).toContain(`image ${ID} was removed again`);
    expect(service.lines.at(-1)).toBe(`DELETE /v2/images/${ID}`);
  });

  test('a file that cannot be read is found before anything is created', async () => {
    await start(() => ({ status: 201, body: image() }));
    for (const path of [join(directory, 'missing'), directory]) expect((await images(['create', 'gold', '--file', path])).exitCode).toBe(2);
    expect(service.received).toEqual([]);
  });

  test('interrupted during the upload it removes what it created', async () => {
    await writeFile(join(directory, 'disk'), DATA);
    const interrupt = new AbortController();
    await start(({ method }) => {
      if (method === 'PUT') interrupt.abort();
      return method === 'POST' ? { status: 201, body: image() } : method === 'DELETE' ? { status: 204 } : { hang: true };
    });
    const result = await images(['create', 'gold', '--file', join(directory, 'disk')], { interrupt: interrupt.signal });
    expect(result).toMatchObject({ exitCode: 130, stdout: '' });
    expect(service.lines.at(-1)).toBe(`DELETE /v2/images/${ID}`);
  });
});

describe('image list and show', () => {
  test('list has every page', async () => {
    await start(({ path }) => ({ body: path.includes('marker') ? { images: [image({ id: 'b' })] } : { images: [image({ id: 'a' })], next: '/v2/images?status=queued&marker=a' } }));
    expect((await images(['list', '--status', 'queued', '-f', 'value', '-c', 'ID', '-c', 'status'])).stdout).toBe('a queued\nb queued\n');
    expect(service.lines).toEqual(['GET /v2/images?status=queued', 'GET /v2/images?status=queued&marker=a']);
  });

  test('show takes an id or a name that only one image has', async () => {
    await start(({ path }) => ({ body: path.startsWith('/v2/images/') ? image() : { images: path.includes('gold') ? [image()] : path.includes('twin') ? [image(), image({ id: 'b' })] : [] } }));
    expect((await images(['show', ID, '-f', 'value', '-c', 'name'])).stdout).toBe('gold\n');
    expect((await images(['show', 'gold', '-f', 'value', '-c', 'id'])).stdout).toBe(`${ID}\n`);
    expect(await images(['show', 'none'])).toMatchObject({ exitCode: 4, stderr: 'baremetal: no image is named "none"\n' });
    const twins = await images(['show', 'twin']);
    expect(twins.exitCode).toBe(2);
    expect(twins.stderr).toContain(`${ID}, b`);
  });

  test('an unknown id is 4; an address that is no image service is 6', async () => {
    await start(({ path }) => (path.endsWith(ID) ? { status: 404, body: '<html><body><h1>404 Not Found</h1>No image found</body></html>' } : { body: 'hello' }));
    expect((await images(['show', ID])).exitCode).toBe(4);
    expect((await images(['list'])).exitCode).toBe(6);
  });
});

describe('image save', () => {
  const saved = (data: Buffer) => ({ path }: ReceivedRequest): Answer => (path.endsWith('/file') ? { body: data, headers: { 'Content-Type': 'application/octet-stream' } } : { body: active() });

  test('writes the file once it is whole and verified', async () => {
    await start(saved(DATA));
    const path = join(directory, 'out');
    expect(await images(['save', ID, '--file', path])).toMatchObject({ exitCode: 0, stdout: '' });
    expect((await readFile(path)).equals(DATA)).toBe(true);
    expect(await readdir(directory)).toEqual(['out']);
  });

  test('writes to a pipe', async () => {
    await start(saved(DATA));
    const { bytes, exitCode } = await images(['save', ID]);
    expect(exitCode).toBe(0);
    expect(bytes.equals(DATA)).toBe(true);
  });

  test('not to a terminal', async () => {
    await start(saved(DATA));
    expect(await images(['save', ID], { stdoutColumns: 80 })).toMatchObject({ exitCode: 2, stdout: '' });
  });

  test.each([
    ['other data than its digest says', Buffer.alloc(DATA.length, 'x'), 'its sha512 is'],
    ['less data than its size says', DATA.subarray(0, 1000), 'bytes'],
  ])('%s: an error, and the file that stood there stays as it was', async (_what, data, message) => {
    await start(saved(data));
    const path = join(directory, 'out');
    await writeFile(path, 'before');
    const result = await images(['save', ID, '--file', path]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(message);
    expect(await readFile(path, 'utf8')).toBe('before');
    expect(await readdir(directory)).toEqual(['out']);
  });

  test('a download that is cut is an error and leaves no file', async () => {
    service = await ServiceOfTests.start(({ path }, response) => {
      if (!path.endsWith('/file')) return { body: active() };
      response.writeHead(200, { 'Content-Length': String(DATA.length) });
      response.write(DATA.subarray(0, 100_000), () => response.destroy());
      return {};
    });
    const result = await images(['save', ID, '--file', join(directory, 'out')]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('broke off');
    expect(await readdir(directory)).toEqual([]);
  });

  test('an image without data is refused', async () => {
    await start(() => ({ body: image() }));
    expect((await images(['save', ID])).exitCode).toBe(3);
  });
});

test('image delete deletes by name or id', async () => {
  await start(({ method }) => (method === 'DELETE' ? { status: 204 } : { body: { images: [image()] } }));
  expect((await images(['delete', 'gold'])).exitCode).toBe(0);
  expect(service.lines.at(-1)).toBe(`DELETE /v2/images/${ID}`);
});
