import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ServedShare, authorizationOf, pathOf, send, type Guest } from './served-share.ts';

let served: ServedShare;
let guest: Guest;

beforeAll(async () => {
  served = await ServedShare.start();
  guest = await served.invite();
});
afterAll(() => served.stop());

/** Sends bytes as they are, and closes; resolved when the connection is over. */
function sendRaw(text: string, { closeAtOnce }: { closeAtOnce: boolean }): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(served.port, '127.0.0.1', () => {
      socket.write(text);
      if (closeAtOnce) socket.destroy();
      else socket.end();
    });
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => undefined); // cut by the server: the answer so far is what counts
    socket.on('close', () => resolve(answer));
  });
}

const raw = (method: string, name: string, headers: string[], body = ''): string =>
  [`${method} ${pathOf(guest, name)} HTTP/1.1`, 'Host: x', `Authorization: ${authorizationOf(guest)}`, 'Connection: close', ...headers, '', body].join('\r\n');

const BODIES = [
  '',
  '<',
  'not xml at all',
  '<propfind',
  '<propfind xmlns="DAV:"/>',
  '<propfind xmlns="DAV:"><prop/></propfind>',
  '<propfind xmlns="DAV:"><prop><getetag><deep><deeper/></deep></getetag></prop></propfind>',
  '<D:propfind xmlns:D="DAV:"><D:prop><a:b xmlns:a="urn:a" c="d"/></D:prop></D:propfind>',
  '<propfind xmlns:x=""><x:prop/></propfind>',
  '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><propfind xmlns="DAV:"><prop>&b;</prop></propfind>',
  '<lockinfo/>',
  '<lockinfo xmlns="DAV:"><lockscope/><locktype/></lockinfo>',
  '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>',
  '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype><owner><![CDATA[<&"]]></owner></lockinfo>',
  '<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><a/></D:prop></D:set><D:set><D:prop><b/></D:prop></D:set></D:propertyupdate>',
  '\u0000\u0001\uffff',
];
const HEADERS: Record<string, string>[] = [
  {},
  { If: '(<urn:uuid:1>)' },
  { If: '()' },
  { If: '<http://[bad> (<x>)' },
  { If: '(<' },
  { If: 'Not Not ((((' },
  { Depth: '0' },
  { Depth: '-1' },
  { Depth: 'x' },
  { 'Lock-Token': '' },
  { 'Lock-Token': '<<>>' },
  { Host: '[' },
  { Accept: 'application/json' },
  { Accept: '*/*;q=x,,,' },
  { Translate: 'f', Source: 'T' },
  { Destination: 'http://%zz/' },
  { 'X-Forwarded-Host': 'evil' },
];
/** Every header with a few bodies, every body with a few headers. */
const PAIRS = [...HEADERS.flatMap((headers) => [0, 6, 12].map((body) => [headers, BODIES[body]] as const)), ...BODIES.flatMap((body) => [0, 1].map((headers) => [HEADERS[headers], body] as const))];
const METHODS = ['OPTIONS', 'PROPFIND', 'PUT', 'DELETE', 'LOCK', 'UNLOCK', 'HEAD', 'PROPPATCH', 'MOVE', 'COPY', 'MKCOL'];

describe('a client with a credential cannot end the process', () => {
  test.each(METHODS)('%s with odd headers and bodies always gets an answer, and none is a failure of ours', async (method) => {
    for (const name of ['disk.qcow2', '']) {
      for (const [headers, body] of PAIRS) {
        const reply = await send(served, method, pathOf(guest, name), { guest, body, headers: { ...(method === 'PROPFIND' ? { Depth: '1' } : {}), ...headers } });
        expect(reply.status).toBeGreaterThanOrEqual(200);
        if (reply.status >= 500) expect(reply.status).toBe(507);
        expect(reply.text).not.toContain('root:');
      }
    }
  });

  test.each(METHODS)('%s from clients that vanish at any moment leaves the share in service', async (method) => {
    const texts = BODIES.flatMap((body) => [
      raw(method, 'disk.qcow2', ['Depth: 1', `Content-Length: ${Buffer.byteLength(body)}`], body),
      raw(method, 'disk.qcow2', ['Depth: 1', 'Content-Length: 5000'], body),
      raw(method, 'disk.qcow2', ['Depth: 1', 'Transfer-Encoding: chunked'], `5\r\n${body}`),
      raw(method, 'disk.qcow2', ['Depth: 1', 'Content-Length: -1'], body),
    ]);
    for (const text of texts) await Promise.all([sendRaw(text, { closeAtOnce: true }), sendRaw(text, { closeAtOnce: false })]);
    expect((await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '1' } })).status).toBe(207);
  });

  test('no request of these was a failure in the log', () => {
    expect(served.lines.filter((line) => Number(line['level']) >= 50)).toEqual([]);
  });
});
