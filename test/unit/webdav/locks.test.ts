import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServedShare, pathOf, send, type Guest, type Reply } from './served-share.ts';
import { filesOf } from './spool-state.ts';

let served: ServedShare;
let guest: Guest;

beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite();
});
afterEach(() => served.stop());

const LOCKINFO = '<?xml version="1.0" encoding="utf-8"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype><owner>agent of node-1</owner></lockinfo>';
const lock = (name: string, body = LOCKINFO): Promise<Reply> => send(served, 'LOCK', pathOf(guest, name), { guest, body, headers: { Timeout: 'Second-1800', Depth: '0' } });
const refresh = (name: string, token: string): Promise<Reply> => send(served, 'LOCK', pathOf(guest, name), { guest, headers: { If: `(<${token}>)` } });
const unlock = (name: string, token: string): Promise<Reply> => send(served, 'UNLOCK', pathOf(guest, name), { guest, headers: { 'Lock-Token': `<${token}>` } });
const put = (name: string, headers: Record<string, string> = {}): Promise<Reply> => send(served, 'PUT', pathOf(guest, name), { guest, body: 'body', headers });
const tokenOf = (reply: Reply): string => /<D:locktoken>\s*<D:href>([^<]+)/.exec(reply.text)?.[1] ?? '';

describe('a lock', () => {
  test('of a new name makes it exist, empty, with no file under it on the disk', async () => {
    const reply = await lock('disk.qcow2');
    expect(reply.status).toBe(201);
    expect(reply.text).toContain('Second-1800');
    expect(reply.text).toContain('agent of node-1');
    expect(await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).toMatchObject({ status: 200, headers: { 'content-length': '0' } });
    expect((await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '1' } })).text).toContain('disk.qcow2');
    expect(await served.share.received(guest.uuid, 'disk.qcow2')).toBeNull();
    expect(await readdir(join(served.directory, guest.uuid))).not.toContain('disk.qcow2');
  });

  test('given back without an upload leaves nothing', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    expect((await unlock('disk.qcow2', token)).status).toBe(204);
    expect((await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(404);
    expect(await filesOf(served, guest)).toEqual([]);
  });

  test('keeps others out: a second lock, a write and a delete without its token are answered 423', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    expect((await lock('disk.qcow2')).status).toBe(423);
    expect((await put('disk.qcow2')).status).toBe(423);
    expect((await put('disk.qcow2', { If: '(<urn:uuid:0>)' })).status).toBe(423);
    expect((await put('disk.qcow2', { If: `(<${token}>)` })).status).toBe(200);
    expect((await send(served, 'DELETE', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(423);
    expect((await put('disk.qcow2', { If: `<${served.origin}${pathOf(guest, 'disk.qcow2')}> (<${token}>)` })).status).toBe(200);
    expect((await unlock('disk.qcow2', token)).status).toBe(204);
    expect((await put('disk.qcow2')).status).toBe(200);
  });

  test('is given to one of many that ask at once', async () => {
    const statuses = (await Promise.all(Array.from({ length: 8 }, () => lock('disk.qcow2')))).map((reply) => reply.status);
    expect(statuses.filter((status) => status < 300)).toHaveLength(1);
    expect(new Set(statuses.filter((status) => status >= 300))).toEqual(new Set([423]));
  });

  test('is exclusive: a shared one is refused and not offered', async () => {
    await put('disk.qcow2');
    expect((await lock('disk.qcow2', LOCKINFO.replace('exclusive', 'shared'))).status).toBe(403);
    const offered = (await send(served, 'PROPFIND', pathOf(guest, 'disk.qcow2'), { guest, headers: { Depth: '0' } })).text;
    expect(offered).toContain('<D:exclusive');
    expect(offered).not.toContain('<D:shared');
  });

  test('is refreshed with its token only', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    expect((await refresh('disk.qcow2', token)).status).toBe(200);
    expect((await refresh('disk.qcow2', 'urn:uuid:another')).status).toBe(412);
    expect((await send(served, 'LOCK', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(400);
  });

  test('is one of sixteen at most; one given back makes room', async () => {
    const tokens: string[] = [];
    for (let index = 0; index < 16; index++) tokens.push(tokenOf(await lock(`disk-${index}`)));
    expect(new Set(tokens).size).toBe(16);
    expect((await lock('one-more')).status).toBe(507);
    expect((await send(served, 'HEAD', pathOf(guest, 'one-more'), { guest })).status).toBe(404);
    await unlock('disk-3', tokens[3] ?? '');
    expect((await lock('one-more')).status).toBe(201);
  });

  test('is forgotten with the directory', async () => {
    await lock('disk.qcow2');
    await served.share.remove(guest.uuid);
    await served.share.open(guest.uuid, 1_000);
    expect((await put('disk.qcow2')).status).toBe(201);
  });

  test('If lists are judged with Not, DAV:no-lock and entity tags', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    await put('disk.qcow2', { If: `(<${token}>)` });
    const etag = (await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).headers.etag ?? '';
    expect((await put('disk.qcow2', { If: `(<${token}> ["other"])` })).status).toBe(412);
    expect((await put('disk.qcow2', { If: `(<${token}> [${etag}])` })).status).toBe(200);
    expect((await put('disk.qcow2', { If: `(<${token}> ["other"]) (Not <DAV:no-lock>)` })).status).toBe(200);
    expect((await put('disk.qcow2', { If: `(<DAV:no-lock>) (<${token}> ["other"])` })).status).toBe(412);
  });
});

describe('after a restart of the conductor', () => {
  const restart = async (): Promise<void> => {
    served = await served.restart();
  };

  test('a name that was locked still exists, its lock is taken up by a refresh, the upload goes through and the lock is given back', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    const { etag } = (await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).headers;
    await restart();
    expect((await send(served, 'PROPFIND', pathOf(guest), { guest, headers: { Depth: '1' } })).text).toContain('disk.qcow2');
    expect((await refresh('disk.qcow2', token)).status).toBe(200);
    expect((await put('disk.qcow2')).status).toBe(423);
    expect((await put('disk.qcow2', { If: `(<${token}>)`, 'If-Match': etag ?? '' })).status).toBe(200);
    expect((await unlock('disk.qcow2', token)).status).toBe(204);
    expect(await filesOf(served, guest)).toEqual(['disk.qcow2']);
  });

  test('an upload with the forgotten token goes through without a refresh too, and the token can be given back', async () => {
    const token = tokenOf(await lock('disk.qcow2'));
    await restart();
    expect((await put('disk.qcow2', { If: `(<${token}>)` })).status).toBe(200);
    expect((await unlock('disk.qcow2', token)).status).toBe(204);
  });

  test('what is no lock token is not taken for one', async () => {
    await put('disk.qcow2');
    expect((await refresh('disk.qcow2', 'x')).status).toBe(412);
    expect((await unlock('disk.qcow2', `urn:uuid:${'0'.repeat(500)}`)).status).toBe(409);
  });
});
