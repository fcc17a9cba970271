/** What our client does when the image service, or what stands between, misbehaves. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { GlanceClient, type GlanceClientOptions } from '../../../image-service/client.ts';
import { receiveData } from '../../../image-service/download.ts';
import { openExchange } from '../../../image-service/exchange.ts';
import { noToken, staticToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { fileData } from '../../rig/image-data.ts';

const ID = '11111111-1111-4111-8111-111111111111';
const MIB = 1024 ** 2;
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let directory: string;
let path: string;
let service: Server;
let requests: { method: string; url: string; token: unknown }[];
/** How the service answers by method; a test sets what it needs. */
let answers: Record<string, Handler>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'client-faults-'));
  path = join(directory, 'spooled');
  await writeFile(path, '');
  requests = [];
  answers = { GET: image({ status: 'queued' }) };
  service = createServer((request, response) => {
    requests.push({ method: request.method ?? '', url: request.url ?? '', token: request.headers['x-auth-token'] });
    answers[request.method ?? '']?.(request, response);
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
  await rm(directory, { recursive: true });
});

const url = (): string => `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
const client = (options: Partial<GlanceClientOptions> = {}): GlanceClient => new GlanceClient({ url: url(), token: noToken, timeoutMs: 5_000, log: createLogger('client', 'silent'), ...options });
function image(fields: object): Handler {
  return (_request, response) => void response.end(JSON.stringify({ id: ID, ...fields }));
}
const answer = (status: number, body = ''): Handler => (_request, response) => void response.writeHead(status).end(body);
async function upload(sizeBytes: number, options: Partial<GlanceClientOptions> = {}): Promise<void> {
  await truncate(path, sizeBytes);
  await client(options).upload(ID, fileData(path), sizeBytes, { signal: new AbortController().signal });
}

describe('uploading', () => {
  test('a service that stops taking data: given up as stalled, another try makes sense', async () => {
    answers.PUT = (request) => void request.pause();
    await expect(upload(64 * MIB, { stallTimeoutMs: 300 })).rejects.toMatchObject({ message: expect.stringContaining('accepted no data for 0.3 s'), data: { stalled: true, retryable: true, status: null, imageStatus: 'queued' } });
  });

  test('a service that takes everything and never answers: given up', async () => {
    answers.PUT = (request) => void request.resume();
    await expect(upload(MIB, { answerTimeoutMs: 300 })).rejects.toMatchObject({ data: { retryable: true, status: null } });
  });

  test('a connection that is reset half-way: another try makes sense', async () => {
    answers.PUT = (request) => void request.once('data', () => request.socket.resetAndDestroy());
    await expect(upload(64 * MIB)).rejects.toMatchObject({ message: expect.stringContaining('connection to the image service failed'), data: { retryable: true, status: null, imageStatus: 'queued' } });
  });

  test('a refusal in the middle of the data is heard, and no more is sent', async () => {
    answers.PUT = (request, response) => void request.once('data', () => response.writeHead(503).end('<html><body><h1>503 Service Unavailable</h1>the store is read-only<br /></body></html>'));
    await expect(upload(1024 * MIB)).rejects.toMatchObject({ message: expect.stringContaining('HTTP 503: the store is read-only'), data: { status: 503, retryable: true } });
  });

  test('an answer that is lost although the image is active with this size: done', async () => {
    answers.PUT = (request) => void request.resume().once('end', () => request.socket.destroy());
    answers.GET = image({ status: 'active', size: MIB });
    await expect(upload(MIB)).resolves.toBeUndefined();
    answers.GET = image({ status: 'active', size: MIB - 1 });
    await expect(upload(MIB)).rejects.toMatchObject({ data: { status: null, imageStatus: 'active' } });
  });

  test('a success that comes before all data was sent is none', async () => {
    answers.PUT = (request, response) => void request.once('data', () => response.writeHead(204).end());
    await expect(upload(1024 * MIB)).rejects.toMatchObject({ data: { retryable: true } });
  });

  test('a service that is gone: another try makes sense, the image is unknown', async () => {
    const elsewhere = client();
    await new Promise((resolve) => service.close(resolve));
    await writeFile(path, 'x');
    await expect(elsewhere.upload(ID, fileData(path), 1, { signal: new AbortController().signal })).rejects.toMatchObject({ data: { retryable: true, status: null, imageStatus: 'unknown' } });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  });

  test('an upload that is stopped before it begins sends nothing', async () => {
    await truncate(path, MIB);
    await expect(client().upload(ID, fileData(path), MIB, { signal: AbortSignal.abort() })).rejects.toMatchObject({ data: { stopped: true, retryable: false } });
    expect(requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });
});

describe('credentials', () => {
  test('go with every request and into no error', async () => {
    answers = { GET: answer(401, 'no'), PUT: answer(401, 'no') };
    const failure: unknown = await upload(MIB, { token: staticToken('s3cret') }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ data: { status: 401, retryable: false, imageStatus: 'unknown' }, message: expect.stringContaining('check the configured token') });
    expect(requests.map(({ token }) => token)).toEqual(['s3cret', 's3cret']);
    expect(JSON.stringify(failure) + String(failure) + String((failure as Error).stack)).not.toContain('s3cret');
  });
});

describe('reading', () => {
  test('something that is no image service is called so, with its URL', async () => {
    answers.GET = answer(200, '<html>welcome</html>');
    await expect(client().show(ID)).rejects.toMatchObject({ message: expect.stringMatching(/Glance v2 API from http:.*welcome.*check its URL/) });
    answers.GET = answer(200, '[]');
    await expect(client().show(ID)).rejects.toThrow('check its URL');
    await expect(client().list()).rejects.toThrow('check its URL');
  });

  test('a failing service is temporarily unavailable, an unreachable one too', async () => {
    answers.GET = answer(502, '<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>');
    await expect(client().show(ID)).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('HTTP 502 nginx') });
    answers.GET = (request) => void request.socket.destroy();
    await expect(client().show(ID)).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('cannot be reached') });
    answers.GET = () => undefined;
    await expect(client({ timeoutMs: 200 }).show(ID)).rejects.toMatchObject({ httpStatus: 503 });
  });

  test('a list follows the next page on this service only, whatever host the link names', async () => {
    answers.GET = (request, response) => {
      const isFirst = !request.url?.includes('marker=');
      response.end(JSON.stringify({ images: [{ id: isFirst ? 'a' : 'b', status: 'queued' }], next: isFirst ? 'http://elsewhere.invalid/v2/images?marker=a&name=x' : undefined }));
    };
    expect((await client().list({ name: 'x' })).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(requests.map(({ url: requested }) => requested)).toEqual(['/v2/images?limit=100&name=x', '/v2/images?marker=a&name=x']);
  });

  test('waiting for the end of an upload bridges a restart of the service', async () => {
    let asked = 0;
    answers.GET = (request, response) => {
      asked += 1;
      if (asked === 2) request.socket.destroy();
      else image({ status: asked === 1 ? 'saving' : 'queued' })(request, response);
    };
    expect(await client().settle(ID, { timeoutMs: 10_000 })).toMatchObject({ status: 'queued' });
    expect(asked).toBe(3);
  });

  test('a service that can not be asked at all is told at once, not waited for', async () => {
    answers.GET = (request) => void request.socket.destroy();
    await expect(client().settle(ID, { timeoutMs: 60_000 })).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('cannot be reached') });
    expect(requests).toHaveLength(1);
  });

  test('an image that is none any more, or was killed, is shown as it is', async () => {
    answers.GET = image({ status: 'killed' });
    expect(await client().settle(ID, { timeoutMs: 0 })).toMatchObject({ status: 'killed' });
    answers.GET = answer(404);
    expect(await client().settle(ID, { timeoutMs: 0 })).toBeNull();
  });
});

describe('downloading', () => {
  const described = { status: 'active', size: 4, os_hash_algo: 'sha512', os_hash_value: 'ab'.repeat(64) };
  const discard = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });
  const serve = (data: Handler): Handler => (request, response) => (request.url?.endsWith('/file') ? data(request, response) : image(described)(request, response));

  test('data with another digest, or cut, is not taken for the image', async () => {
    answers.GET = serve(answer(200, 'data'));
    await expect(client().download(ID, discard())).rejects.toThrow('is damaged');
    answers.GET = serve((_request, response) => {
      response.writeHead(200, { 'Content-Length': 4 }).write('da', () => response.destroy());
    });
    await expect(client().download(ID, discard())).rejects.toThrow();
  });

  test('a refusal and a stall are errors with the reason', async () => {
    answers.GET = serve(answer(403, 'The requested image has been deactivated.'));
    await expect(client().download(ID, discard())).rejects.toThrow('HTTP 403 The requested image has been deactivated.');
    answers.GET = serve((_request, response) => void response.writeHead(200, { 'Content-Length': 4 }).write('da'));
    await expect(client({ stallTimeoutMs: 300 }).download(ID, discard())).rejects.toThrow('has sent no data for 0.3 s');
  });

  test('where the service keeps an MD5 only, that is what is compared', async () => {
    const old = { status: 'active', size: 4, checksum: '8d777f385d3dfec8815d20f7496026dc' };
    answers.GET = (request, response) => (request.url?.endsWith('/file') ? answer(200, 'data') : image(old))(request, response);
    expect(await client().download(ID, discard())).toEqual({ sizeBytes: 4, hashValue: old.checksum });
    answers.GET = (request, response) => (request.url?.endsWith('/file') ? answer(200, 'dato') : image(old))(request, response);
    await expect(client().download(ID, discard())).rejects.toMatchObject({ message: expect.stringContaining(`expected 4 bytes with ${old.checksum}`), data: { damaged: true } });
  });

  test('a digest by the name that Glance has from Python is compared', async () => {
    const found = { status: 'active', size: 4, os_hash_algo: 'sha3_256', os_hash_value: createHash('sha3-256').update('data').digest('hex').toUpperCase() };
    answers.GET = (request, response) => (request.url?.endsWith('/file') ? answer(200, 'data') : image(found))(request, response);
    expect(await client().download(ID, discard())).toEqual({ sizeBytes: 4, hashValue: found.os_hash_value.toLowerCase() });
    answers.GET = (request, response) => (request.url?.endsWith('/file') ? answer(200, 'dato') : image(found))(request, response);
    await expect(client().download(ID, discard())).rejects.toMatchObject({ data: { damaged: true } });
  });

  test('a digest that nobody knows is refused before any data', async () => {
    answers.GET = image({ status: 'active', size: 4, os_hash_algo: 'frob', os_hash_value: 'ab' });
    await expect(client().download(ID, discard())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('found "frob"') });
    expect(requests.map((one) => one.url)).toEqual([`/v2/images/${ID}`]);
  });

  test('one that cannot begin leaves nothing behind: neither request, destination, nor timer', async () => {
    const timers = (): string[] => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout');
    const timersBefore = timers();
    const request = openExchange({ url: url() }, 'GET', '/x', {});
    const destination = discard();
    const closed = new Promise((resolve) => request.once('close', resolve)); // with an error, which must not end the process
    await expect(receiveData(request, destination, { stallTimeoutMs: 60_000, hashAlgo: 'frob' })).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('found "frob"') });
    expect({ request: request.destroyed, destination: destination.destroyed }).toEqual({ request: true, destination: true });
    expect(timers()).toEqual(timersBefore);
    await closed;
    expect(requests).toEqual([]);
  });

  test('a destination that fails ends it', async () => {
    answers.GET = serve(answer(200, 'data'));
    const full = new Writable({ write: (_chunk, _encoding, done) => done(new Error('disk full')) });
    await expect(client().download(ID, full)).rejects.toThrow('disk full');
  });
});
