import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServedShare, pathOf, send, type Guest } from './served-share.ts';
import { filesOf } from './spool-state.ts';

let served: ServedShare;
let guest: Guest;
let other: Guest;

beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite();
  other = await served.invite();
  expect((await send(served, 'PUT', pathOf(other, 'theirs.qcow2'), { guest: other, body: 'secret of another server' })).status).toBe(201);
});
afterEach(() => served.stop());

describe('who may come in', () => {
  test.each(['OPTIONS', 'PROPFIND', 'PUT', 'GET', 'HEAD', 'DELETE', 'LOCK', 'PROPPATCH'])('%s without a credential is answered 401 with the realm', async (method) => {
    const reply = await send(served, method, pathOf(guest, 'disk.qcow2'));
    expect(reply.status).toBe(401);
    expect(reply.headers['www-authenticate']).toMatch(/^Basic realm="metalshot"/);
  });

  test.each([
    ['a wrong password', (pair: Guest) => ({ ...pair, password: `${pair.password}x` })],
    ['an empty password', (pair: Guest) => ({ ...pair, password: '' })],
    ['the password of another snapshot', (pair: Guest) => ({ ...pair, password: other.password })],
  ])('%s is answered 401', async (_case, change) => {
    expect((await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest: change(guest), body: 'x' })).status).toBe(401);
    expect(await filesOf(served, guest)).toEqual([]);
  });

  test.each(['Basic', 'Basic !!!', 'Bearer abc', `Basic ${Buffer.from('nocolon').toString('base64')}`, `Basic ${'A'.repeat(10_000)}`])('a header that cannot be read is answered 401: %.20s', async (header) => {
    expect((await send(served, 'OPTIONS', pathOf(guest), { headers: { Authorization: header } })).status).toBe(401);
  });

  test('a revoked credential is dead with the next request', async () => {
    expect((await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'x' })).status).toBe(201);
    served.passwords.delete(guest.password);
    expect((await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'y' })).status).toBe(401);
  });

  test('the access log names method, path, status, bytes and snapshot, and never a credential', async () => {
    await send(served, 'PUT', `${pathOf(guest, 'disk.qcow2')}?token=hidden`, { guest, body: 'twelve bytes' });
    const [line] = served.requests.slice(-1);
    expect(line).toMatchObject({ method: 'PUT', path: pathOf(guest, 'disk.qcow2'), status: 201, bytes: 12, snapshot: guest.uuid });
    const text = JSON.stringify(served.lines);
    for (const secret of [guest.password, Buffer.from(`${guest.username}:${guest.password}`).toString('base64'), 'hidden']) expect(text).not.toContain(secret);
  });
});

describe('each snapshot has its own directory', () => {
  test.each(['PROPFIND', 'PUT', 'HEAD', 'DELETE', 'LOCK', 'OPTIONS'])('%s in the directory of another is answered as if there were none', async (method) => {
    const reply = await send(served, method, pathOf(other, 'theirs.qcow2'), { guest, body: 'x', headers: { Depth: '0' } });
    expect(reply.status).toBe(404);
    expect(await readFile(join(served.directory, other.uuid, 'theirs.qcow2'), 'utf8')).toBe('secret of another server');
  });

  test('the listing of the share itself is not given', async () => {
    for (const path of ['/snapshots/', '/snapshots', '/snapshots//', '/snapshots/./']) {
      const reply = await send(served, 'PROPFIND', path, { guest, headers: { Depth: '1' } });
      expect(reply.status).toBe(404);
      expect(reply.text).not.toContain(other.uuid);
    }
  });

  test.each([
    '../{other}/theirs.qcow2',
    '%2e%2e/{other}/theirs.qcow2',
    '..%2f{other}%2ftheirs.qcow2',
    '..%5c{other}%5ctheirs.qcow2',
    '%252e%252e%252f{other}',
    'a/../../{other}/theirs.qcow2',
    './../{other}/theirs.qcow2',
    '..',
    '%2e%2e',
    '../../../../etc/passwd',
    'sub/disk.qcow2',
    '%00',
    'disk%00.qcow2',
    '%zz',
    '%c0%ae%c0%ae/{other}',
  ])('no way leads out of it: %s', async (name) => {
    const path = pathOf(guest, name.replaceAll('{other}', other.uuid));
    for (const method of ['PUT', 'PROPFIND', 'LOCK', 'DELETE', 'HEAD']) {
      const reply = await send(served, method, path, { guest, body: method === 'PUT' ? 'x' : '', headers: { Depth: '1' } });
      expect([400, 403, 404]).toContain(reply.status);
      expect(reply.text).not.toContain('theirs');
    }
    expect(await filesOf(served, guest)).toEqual([]);
    expect(await filesOf(served, other)).toEqual(['theirs.qcow2']);
    expect(await readFile(join(served.directory, other.uuid, 'theirs.qcow2'), 'utf8')).toBe('secret of another server');
  });

  test.each(['.hidden', '.quota', '.upload-x', '-dash', 'with space', 'ünïcode', 'a'.repeat(256), 'semi;colon', '.nfs0001'])('no file can be written under the name %.20s', async (name) => {
    for (const method of ['PUT', 'DELETE']) expect((await send(served, method, pathOf(guest, encodeURIComponent(name)), { guest, body: 'x' })).status).toBe(403);
    expect((await send(served, 'PROPFIND', pathOf(guest, encodeURIComponent(name)), { guest, headers: { Depth: '0' } })).status).toBe(404);
    expect(await filesOf(served, guest)).toEqual([]);
  });

  test('a symbolic link is not followed: it is no file, and a PUT replaces the link and not what it points to', async () => {
    const victim = join(served.directory, other.uuid, 'theirs.qcow2');
    await symlink(victim, join(served.directory, guest.uuid, 'disk.qcow2'));
    expect((await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(404);
    expect((await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '1' } })).text).not.toContain('disk.qcow2');
    expect(await served.share.received(guest.uuid, 'disk.qcow2')).toBeNull();
    expect((await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'mine' })).status).toBe(201);
    expect(await readFile(victim, 'utf8')).toBe('secret of another server');
    expect((await served.share.received(guest.uuid, 'disk.qcow2'))?.sizeBytes).toBe(4);
  });

  test('a directory that is a symbolic link is refused', async () => {
    const uuid = '00000000-0000-4000-8000-000000000000';
    await mkdir(join(served.directory, 'elsewhere'));
    await symlink(join(served.directory, 'elsewhere'), join(served.directory, uuid));
    await expect(served.share.open(uuid, 1)).rejects.toThrow(/expected a directory/);
  });

  test('its own listing shows complete files and nothing of the share itself', async () => {
    await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'abc' });
    await writeFile(join(served.directory, guest.uuid, '.upload-1'), 'half');
    const { status, text } = await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '1' } });
    expect(status).toBe(207);
    expect([...text.matchAll(/<D:href>([^<]*)</g)].map(([, href]) => href)).toEqual([pathOf(guest), pathOf(guest, 'disk.qcow2')]);
    expect(text).toContain('<D:getcontentlength>3</D:getcontentlength>');
  });
});

describe('what is not served', () => {
  test('contents cannot be read', async () => {
    await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'private data' });
    for (const name of ['disk.qcow2', '']) {
      const reply = await send(served, 'GET', pathOf(guest, name), { guest });
      expect(reply.status).toBe(403);
      expect(reply.text).not.toContain('private data');
    }
    const head = await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest });
    expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': '12' } });
  });

  test.each(['PROPPATCH', 'COPY', 'MOVE', 'POST', 'PATCH', 'TRACE', 'MKCOL', 'SEARCH', 'ACL', 'REPORT', 'BIND', 'REBIND', 'UNBIND', 'MERGE', 'CHECKOUT', 'LINK', 'PURGE', 'MKACTIVITY'])(
    '%s is answered 405 with the methods that there are',
    async (method) => {
      await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'x' });
      const twoSets = '<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><a/></D:prop></D:set><D:set><D:prop><b/></D:prop></D:set></D:propertyupdate>';
      const reply = await send(served, method, pathOf(guest, 'disk.qcow2'), { guest, body: twoSets, headers: { Destination: `${served.origin}${pathOf(guest, 'copy.qcow2')}`, Overwrite: 'T' } });
      expect(reply.status).toBe(405);
      expect(reply.headers.allow).toBe('HEAD, OPTIONS, PROPFIND, PUT, DELETE, LOCK, UNLOCK');
      expect(await filesOf(served, guest)).toEqual(['disk.qcow2']);
    },
  );

  test('the directory itself can be seen, and neither written, locked nor deleted', async () => {
    for (const method of ['PUT', 'DELETE', 'LOCK', 'UNLOCK']) expect((await send(served, method, pathOf(guest), { guest, body: '' })).status).toBe(405);
    expect((await send(served, 'OPTIONS', pathOf(guest), { guest })).headers).toMatchObject({ dav: '1,2' });
  });

  test('a listing of unlimited depth is refused', async () => {
    for (const headers of [{ Depth: 'infinity' }, {}, { Depth: '2' }]) expect((await send(served, 'PROPFIND', pathOf(guest), { guest, headers: headers as Record<string, string> })).status).toBe(403);
  });

  test.each(['PROPFIND', 'LOCK'])('a body of %s longer than 64 KiB is refused, announced or not', async (method) => {
    const body = ' '.repeat(65 * 1024);
    expect((await send(served, method, pathOf(guest, 'disk.qcow2'), { guest, body, headers: { Depth: '0' } })).status).toBe(413);
    expect((await send(served, method, pathOf(guest, 'disk.qcow2'), { guest, body, headers: { Depth: '0', 'Transfer-Encoding': 'chunked' } })).status).toBe(413);
  });

  test('replies allow no other web page to use them', async () => {
    const reply = await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '0', Origin: 'https://example.org' } });
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });
});
