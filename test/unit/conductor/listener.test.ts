import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificate } from '../../../conductor/certificates.ts';
import { Listener, type ListenerOptions } from '../../../conductor/listener.ts';
import { InvalidParameterError } from '../../../protocol/errors.ts';
import { createHttpClient } from '../../../protocol/http-client.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function bind(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const listener = await Listener.bind({ name: 'api', host: '127.0.0.1', port: 0, tls: null, ...options });
  closers.push(() => listener.close());
  return listener;
}
const get = (url: string, ca?: string): Promise<{ status: number; data: unknown; headers: object }> => createHttpClient({ timeoutMs: 5_000, ca }).get(url);

describe('a listener', () => {
  test('says that the conductor is starting until its application is known, then the application answers', async () => {
    const listener = await bind();
    expect(listener.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await get(listener.url)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    listener.serve((_request, response) => void response.end('here'));
    expect(await get(listener.url)).toMatchObject({ status: 200, data: 'here' });
  });

  test('speaks https with its certificate', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-listener-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const tls = await ensureCertificate(directory, 'api', ['127.0.0.1']);
    const listener = await bind({ tls });
    listener.serve((_request, response) => void response.end('here'));
    expect(listener.url).toMatch(/^https:/);
    expect(await get(listener.url, tls.cert)).toMatchObject({ status: 200 });
    await expect(get(listener.url)).rejects.toThrow(/self-signed/);
  });

  test.each([
    ['http://proxy.example:81/v1/nodes?limit=1', '/v1/nodes?limit=1', 'proxy.example:81'],
    ['HTTPS://proxy.example', '/', 'proxy.example'],
    ['http://proxy.example?x=http://y/', '/?x=http://y/', 'proxy.example'],
    ['/v1/http://y/', '/v1/http://y/', 'named'],
    ['//y/', '//y/', 'named'],
  ])('serves the request target %s, and its host counts', async (target, url, host) => {
    const listener = await bind();
    listener.serve((request, response) => void response.end(`${request.url} of ${request.headers.host}`));
    const socket = connect(Number(new URL(listener.url).port), '127.0.0.1').setEncoding('utf8');
    closers.push(async () => void socket.destroy());
    socket.write(`GET ${target} HTTP/1.1\r\nHost: named\r\nConnection: close\r\n\r\n`);
    let reply = '';
    socket.on('data', (text: string) => (reply += text));
    await once(socket, 'close');
    expect(reply).toContain(`${url} of ${host}`);
  });

  test('names its keys when another program has the port, and when the address is not ours', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    closers.push(() => new Promise((resolve) => other.close(() => resolve())));
    const { port } = other.address() as AddressInfo;
    await expect(bind({ port })).rejects.toThrow(`api.host, api.port: cannot listen on 127.0.0.1:${port}: another program listens there`);
    await expect(bind({ port })).rejects.toBeInstanceOf(InvalidParameterError);
    await expect(bind({ host: '192.0.2.1' })).rejects.toThrow(/api\.host, api\.port: cannot listen on 192\.0\.2\.1:0: .*EADDRNOTAVAIL/);
  });

  test('closes although clients hold connections, answered or not; closing again is fine, and the port is free', async () => {
    const listener = await bind();
    let asked = 0;
    listener.serve(() => void (asked += 1)); // never answers
    const port = Number(new URL(listener.url).port);
    const [idle, waiting] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    for (const socket of [idle, waiting]) {
      socket.on('error', () => undefined); // being cut off is what is tested
      closers.push(async () => void socket.destroy());
      await once(socket, 'connect');
    }
    waiting.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const ended = Promise.all([idle, waiting].map((socket) => new Promise((resolve) => socket.resume().once('close', resolve)))); // events.once would take a reset for a failure
    while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
    await listener.close();
    await ended;
    await listener.close();
    await expect(get(listener.url)).rejects.toThrow(/ECONNREFUSED/);
    expect((await bind({ port })).url).toBe(listener.url);
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'));
(hasIpv6 ? describe : describe.skip)(`a listener on IPv6${hasIpv6 ? '' : ' [skipped: no ::1]'}`, () => {
  test('has a URL that can be used', async () => {
    const listener = await bind({ host: '::1' });
    expect(listener.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect(await get(listener.url)).toMatchObject({ status: 503 });
  });
});
