/** Requests as no client library sends them, on bare sockets. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from './api-under-test.ts';

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

async function say(head: string): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  socket.write(`${head.replaceAll('\n', '\r\n')}\r\n\r\n`);
  let reply = '';
  socket.on('data', (text: string) => (reply += text));
  await once(socket, 'close');
  return { status: Number(reply.split(' ')[1]), body: reply.slice(reply.indexOf('\r\n\r\n') + 4) };
}
const firstLink = (body: string): unknown => (JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) as { links: { href: string }[] }).links[0]?.href;

describe('links name', () => {
  test.each([['metalshot.example:6385'], ['rack_1'], ['[::1]:80'], ['10.0.0.7']])('the host that the client used: %s', async (host) => {
    const { status, body } = await say(`GET /v1 HTTP/1.1\nHost: ${host}\nConnection: close`);
    expect([status, firstLink(body)]).toEqual([200, `http://${host}/v1/`]);
  });

  test.each([['"><script>alert(1)</script>'], ['evil/v1/?'], ['user@evil'], ['a b'], ['evil#'], ['x:port'], ['']])('the listener itself where the Host header is no host: %j', async (host) => {
    const { status, body } = await say(`GET /v1 HTTP/1.1\nHost: ${host}\nConnection: close`);
    expect([status, firstLink(body)]).toEqual([200, `${api.url}/v1/`]);
  });

  test('the listener itself to a client of HTTP/1.0 that names no host', async () => {
    const { status, body } = await say('GET /v1 HTTP/1.0');
    expect([status, firstLink(body)]).toEqual([200, `${api.url}/v1/`]);
  });
});
