/** Images at http and https URLs, from real servers that behave well and badly. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import type { ImageSource } from '../../../conductor/drivers/deployment.ts';
import { ImageStage, LOOPBACK, MIB, digestOfFile, unaborted, type StageOptions } from './image-stage.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const DISK_BYTES = 24 * MIB;

let maker: ImageStage;
let path: string;
let sizeBytes: number;
let sha256: string;
let rawDigest: string;
beforeAll(async () => {
  maker = await ImageStage.start();
  const raw = await maker.makeRaw('disk.raw', DISK_BYTES);
  rawDigest = await digestOfFile(raw, 'sha256');
  path = join(maker.sources, 'image.qcow2');
  await maker.qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, path);
  sizeBytes = (await readFile(path)).length;
  sha256 = await digestOfFile(path, 'sha256');
});
afterAll(() => maker.close());

const sendFile: Answer = (_request, response) => void createReadStream(path).pipe(response.writeHead(200, { 'Content-Length': sizeBytes }));
const status = (code: number, headers: Record<string, string> = {}): Answer => (_request, response) => void response.writeHead(code, headers).end();

let stages: ImageStage[];
let servers: Server[];
let requests: string[];
/** What the server answers by method. A list: one after the other, the last again and again. */
let answers: { HEAD: Answer; GET: Answer[] };
beforeEach(() => {
  stages = [];
  servers = [];
  requests = [];
  answers = { HEAD: (_request, response) => void response.writeHead(200, { 'Content-Length': sizeBytes }).end(), GET: [sendFile] };
});
afterEach(async () => {
  for (const stage of stages) await stage.close();
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const answer: RequestListener = (request, response) => {
  requests.push(`${request.method} ${request.url}`);
  if (request.method === 'HEAD') answers.HEAD(request, response);
  else ((answers.GET.length > 1 ? answers.GET.shift() : answers.GET[0]) as Answer)(request, response);
};

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

async function stageWith(options: StageOptions = {}): Promise<ImageStage> {
  const stage = await ImageStage.start({ allowedNetworks: LOOPBACK, ...options });
  stages.push(stage);
  return stage;
}

const sourceAt = (url: string, more: Partial<ImageSource> = {}): ImageSource => ({ source: url, diskFormat: null, hashAlgo: 'sha256', hashValue: sha256, ...more });
const source = async (more: Partial<ImageSource> = {}): Promise<ImageSource> => sourceAt(`http://127.0.0.1:${await listen(createServer(answer))}/pool/image.qcow2?signature=hush`, more);

describe('an image on a web server', () => {
  test('is described by what the server says, fetched once, and becomes its disk', async () => {
    const stage = await stageWith();
    const from = await source();
    expect(await stage.images.describe(from, unaborted())).toEqual({ source: from.source, name: null, diskFormat: 'qcow2', sizeBytes, virtualSizeBytes: null, minDiskBytes: 0, hashAlgo: 'sha256', hashValue: sha256, manifest: null, bootMode: null });
    const uuid = randomUUID();
    const progress: [number, number | null][] = [];
    const prepared = await stage.prepare(uuid, from, unaborted(), (done, total) => progress.push([done, total]));
    expect(prepared).toMatchObject({ virtualSizeBytes: DISK_BYTES });
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
    expect(requests.filter((line) => line.startsWith('GET'))).toEqual(['GET /pool/image.qcow2?signature=hush']);
    expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done).sort((left, right) => left - right));
    expect(progress.at(-1)).toEqual([sizeBytes + DISK_BYTES, sizeBytes + DISK_BYTES]);
  });

  test('on a server that knows no HEAD, or does not say the size', async () => {
    const stage = await stageWith();
    answers.HEAD = status(405);
    expect(await stage.images.describe(await source(), unaborted())).toMatchObject({ sizeBytes });
    answers.HEAD = status(200);
    const chunked: Answer = (_request, response) => void createReadStream(path).pipe(response.writeHead(200));
    answers.GET = [chunked];
    const unsized = await source();
    expect(await stage.images.describe(unsized, unaborted())).toMatchObject({ sizeBytes: null });
    const uuid = randomUUID();
    await stage.prepare(uuid, unsized);
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test.each([
    ['a redirect', 302, { Location: 'http://127.0.0.1:1/' }, 400, /redirect.*not followed/],
    ['not found', 404, {}, 400, /expected HTTP 200, found 404/],
    ['forbidden', 403, {}, 400, /found 403/],
    ['overloaded', 503, {}, 503, /HTTP 503/],
  ] as const)('%s: refused with the reason, its signature not repeated', async (_name, code, headers, httpStatus, reason) => {
    const stage = await stageWith();
    answers = { HEAD: status(code, headers), GET: [status(code, headers)] };
    const refused = await stage.images.describe(await source(), unaborted()).catch((error: unknown) => error);
    expect(refused).toMatchObject({ httpStatus, message: expect.stringMatching(reason) });
    expect((refused as Error).message).not.toContain('hush');
  });

  test('that nobody serves: 503', async () => {
    const stage = await stageWith();
    const gone = createServer();
    const port = await listen(gone);
    await new Promise((resolve) => gone.close(resolve));
    servers = [];
    await expect(stage.images.describe(sourceAt(`http://127.0.0.1:${port}/x.qcow2`), unaborted())).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('ECONNREFUSED') });
  });

  test('with a user in its URL is refused, and the password not repeated', async () => {
    const stage = await stageWith();
    const refused = await stage.images.describe(sourceAt('http://me:hush@127.0.0.1/x.qcow2'), unaborted()).catch((error: unknown) => error);
    expect(refused).toMatchObject({ httpStatus: 400 });
    expect((refused as Error).message).not.toContain('hush');
  });

  test('with an MD5 only is taken, as Ironic takes it', async () => {
    const stage = await stageWith();
    const uuid = randomUUID();
    await stage.prepare(uuid, await source({ hashAlgo: null, hashValue: await digestOfFile(path, 'md5') }));
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });
});

describe('a transfer that goes wrong', () => {
  const halfway: Answer = (request, response) => {
    response.writeHead(200, { 'Content-Length': sizeBytes });
    createReadStream(path, { end: Math.floor(sizeBytes / 2) }).on('end', () => request.socket.resetAndDestroy()).pipe(response, { end: false });
  };
  const silent: Answer = (_request, response) => void response.writeHead(200, { 'Content-Length': sizeBytes }).write('QFI');
  const damaged: Answer = (_request, response) => void readFile(path).then((data) => response.end(data.fill('x', 1000, 1010)));

  test.each([
    ['is cut half-way', halfway],
    ['stalls', silent],
    ['is refused for the moment', status(503)],
    ['is asked to come again later', status(429)],
  ])('and %s is tried again from the start', async (_name, fault) => {
    const stage = await stageWith({ limits: { stallTimeoutMs: 500 } });
    answers.GET = [fault, fault, sendFile];
    const uuid = randomUUID();
    await stage.prepare(uuid, await source());
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('every time is given up, and nothing stays', async () => {
    const stage = await stageWith();
    answers.GET = [halfway];
    await expect(stage.prepare(randomUUID(), await source())).rejects.toMatchObject({ httpStatus: 500, message: expect.stringMatching(/could not be fetched \(3 attempts\)/) });
    expect(requests.filter((line) => line.startsWith('GET'))).toHaveLength(3);
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('for good is not tried again, and what the server said is not passed on', async () => {
    const stage = await stageWith();
    answers.GET = [(_request, response) => void response.writeHead(410).end('internal affairs')];
    const refused = await stage.prepare(randomUUID(), await source()).catch((error: unknown) => error);
    expect((refused as Error).message).toMatch(/found 410$/);
    expect((refused as Error).message).not.toContain('internal affairs');
    expect(requests.filter((line) => line.startsWith('GET'))).toHaveLength(1);
  });

  test('by damage is fetched once more, by damage again refused', async () => {
    const stage = await stageWith();
    answers.GET = [damaged, sendFile];
    const uuid = randomUUID();
    await stage.prepare(uuid, await source());
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
    answers.GET = [damaged];
    await expect(stage.prepare(randomUUID(), await source())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('twice') });
  });

  test('by being without end is stopped at the limit', async () => {
    const stage = await stageWith({ limits: { maxImageBytes: 2 * MIB } });
    answers.HEAD = status(200);
    let connection: IncomingMessage['socket'] | undefined;
    const endless: Answer = (request, response) => {
      connection = request.socket;
      const pump = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 1)));
      };
      response.writeHead(200).on('drain', pump);
      pump();
    };
    answers.GET = [status(200), endless];
    await expect(stage.prepare(randomUUID(), await source())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('max_image_bytes') });
    expect(connection?.bytesWritten).toBeLessThan(64 * MIB);
  });

  test('by a size that is beyond the limit is not begun', async () => {
    const stage = await stageWith({ limits: { maxImageBytes: MIB } });
    await expect(stage.prepare(randomUUID(), await source())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('the limit is 1048576') });
    expect(requests.filter((line) => line.startsWith('GET'))).toEqual([]);
  });

  test('by being stopped ends at once, and nothing stays', async () => {
    const stage = await stageWith();
    answers.GET = [silent];
    const stop = new AbortController();
    const preparing = stage.prepare(randomUUID(), await source(), stop.signal, () => stop.abort(new Error('the operator aborts')));
    await expect(preparing).rejects.toMatchObject({ message: expect.stringContaining('was stopped: the operator aborts') });
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('by taking too long altogether ends', async () => {
    const stage = await stageWith({ limits: { fetchTimeoutMs: 400 } });
    answers.GET = [silent];
    await expect(stage.prepare(randomUUID(), await source())).rejects.toMatchObject({ message: expect.stringContaining('not within 0.4 s') });
  });
});

describe('a name that nobody answers for', () => {
  const resolveName = (): Promise<never> => new Promise(() => undefined);
  const from = (): ImageSource => sourceAt('http://silent.example/image.raw');

  test('does not outlast the time for the fetching', async () => {
    const stage = await stageWith({ resolveName, limits: { fetchTimeoutMs: 400 } });
    await expect(stage.prepare(randomUUID(), from())).rejects.toMatchObject({ message: expect.stringMatching(/was stopped: .*not within 0\.4 s/) });
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('ends at once when it is stopped, or when the question is', async () => {
    const stage = await stageWith({ resolveName });
    const stop = new AbortController();
    const ended = Promise.allSettled([stage.prepare(randomUUID(), from(), stop.signal), stage.images.describe(from(), stop.signal)]);
    stop.abort(new Error('the operator aborts'));
    expect(await ended).toEqual([
      { status: 'rejected', reason: expect.objectContaining({ message: expect.stringContaining('was stopped: the operator aborts') }) },
      { status: 'rejected', reason: expect.objectContaining({ message: expect.stringContaining('the operator aborts') }) },
    ]);
  });
});

describe('hosts that are none of an image', () => {
  test.each(['127.0.0.1', '[::1]', '0.0.0.0', '2130706433', '0x7f.0.0.1', '127.1', '[::ffff:127.0.0.1]', 'localhost', '169.254.169.254'])('http://%s: refused, and nobody is asked', async (host) => {
    const stage = await stageWith({ allowedNetworks: [] });
    const port = await listen(createServer(answer), host.includes('::1') ? '::1' : '127.0.0.1');
    await expect(stage.images.describe(sourceAt(`http://${host}:${port}/x.qcow2`), unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('deploy.allowed_networks') });
    await expect(stage.prepare(randomUUID(), sourceAt(`http://${host}:${port}/x.qcow2`))).rejects.toMatchObject({ httpStatus: 400 });
    expect(requests).toEqual([]);
  });

  test('a name that points elsewhere once it has been checked: the connection goes where the check went', async () => {
    const port = await listen(createServer(answer));
    let calls = 0;
    // allowed first (nobody listens there), then this machine itself, as a rebinding name server answers
    const stage = await stageWith({ allowedNetworks: ['127.0.0.2/32'], resolveName: () => Promise.resolve([{ address: (calls += 1) === 1 ? '127.0.0.2' : '127.0.0.1', family: 4 }]) });
    await expect(stage.images.describe(sourceAt(`http://rebinding.example:${port}/x.qcow2`), unaborted())).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('127.0.0.2') });
    await expect(stage.images.describe(sourceAt(`http://rebinding.example:${port}/x.qcow2`), unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('127.0.0.1 is a loopback address') });
    expect({ requests, calls }).toEqual({ requests: [], calls: 2 });
  });
});

describe('https', () => {
  async function tlsSource(altName: { type: 2; value: string }): Promise<{ from: ImageSource; certificate: string }> {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'images' }], { extensions: [{ name: 'subjectAltName', altNames: [altName] }] });
    const port = await listen(createTlsServer({ cert, key }, answer));
    return { from: sourceAt(`https://images.example:${port}/image.qcow2`), certificate: cert };
  }
  const resolveName = (): Promise<{ address: string; family: number }[]> => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);

  test('a certificate for the name in the URL, of a trusted authority: fetched', async () => {
    const { from, certificate } = await tlsSource({ type: 2, value: 'images.example' });
    const stage = await stageWith({ resolveName, sourceCa: certificate });
    const uuid = randomUUID();
    await stage.prepare(uuid, from);
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('a certificate that nobody vouches for, or for another name: refused, and nothing is asked', async () => {
    const unknown = await tlsSource({ type: 2, value: 'images.example' });
    const trusting = await stageWith({ resolveName });
    await expect(trusting.images.describe(unknown.from, unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('cannot be trusted') });
    const misnamed = await tlsSource({ type: 2, value: 'other.example' });
    const stage = await stageWith({ resolveName, sourceCa: misnamed.certificate });
    await expect(stage.images.describe(misnamed.from, unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('cannot be trusted') });
    expect(requests).toEqual([]);
  });
});
