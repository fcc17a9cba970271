import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServedShare, pathOf, send, until, type Guest } from './served-share.ts';
import { SlowUpload } from './slow-upload.ts';
import { filesOf, openFilesOf, sha512 } from './spool-state.ts';

let served: ServedShare;
let guest: Guest;

beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite();
});
afterEach(() => served.stop());

const contents = (name: string): Promise<string> => readFile(join(served.directory, guest.uuid, name), 'utf8');
const put = async (name: string, body: string, headers: Record<string, string> = {}): Promise<number> => (await send(served, 'PUT', pathOf(guest, name), { guest, body, headers })).status;
const released = (): Promise<void> => until(async () => (await openFilesOf(served)).length === 0 && !(await filesOf(served, guest)).some((name) => name.startsWith('.')));

describe('a file appears when it is complete', () => {
  test('201 for a new one, 200 for one that is replaced, for us only', async () => {
    expect(await put('disk.qcow2', 'first')).toBe(201);
    expect(await put('disk.qcow2', 'second')).toBe(200);
    expect(await served.share.received(guest.uuid, 'disk.qcow2')).toEqual({ path: join(served.directory, guest.uuid, 'disk.qcow2'), sizeBytes: 6, proof: sha512('second') });
    expect((await stat(join(served.directory, guest.uuid, 'disk.qcow2'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(served.directory, guest.uuid))).mode & 0o777).toBe(0o700);
    await released();
  });

  test('chunked, empty and large bodies arrive byte for byte', async () => {
    const large = Buffer.alloc(40 * 1024 * 1024, 'metalshot');
    expect((await send(served, 'PUT', pathOf(guest, 'large'), { guest, body: large, headers: { 'Transfer-Encoding': 'chunked' } })).status).toBe(201);
    expect(sha512(await readFile(join(served.directory, guest.uuid, 'large')))).toBe(sha512(large));
    expect(await put('empty', '')).toBe(201);
    expect((await served.share.received(guest.uuid, 'empty'))?.sizeBytes).toBe(0);
  });

  test('the reply carries the entity tag that HEAD and PROPFIND show', async () => {
    const etag = (await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'x' })).headers.etag;
    expect(etag).toMatch(/^"[^"]+"$/);
    expect((await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).headers.etag).toBe(etag);
    expect((await send(served, 'PROPFIND', pathOf(guest, 'disk.qcow2'), { guest, headers: { Depth: '0' } })).text).toContain(`<D:getetag>${etag?.replaceAll('"', '&quot;')}</D:getetag>`.replaceAll('&quot;', '"'));
  });

  test('while a body comes the old file stands, and progress is counted', async () => {
    await put('disk.qcow2', 'old');
    const upload = await SlowUpload.start(served, guest, 'disk.qcow2', 'half', 8);
    expect(await contents('disk.qcow2')).toBe('old');
    expect(served.share.bytesReceived(guest.uuid)).toBe(4);
    await upload.send('done');
    expect(await upload.end()).toBe(200);
    expect(await contents('disk.qcow2')).toBe('halfdone');
    await until(() => served.share.bytesReceived(guest.uuid) === 0);
  });

  test('nothing is received under a name before its upload has ended', async () => {
    const upload = await SlowUpload.start(served, guest, 'disk.qcow2', 'half', 8);
    expect(await served.share.received(guest.uuid, 'disk.qcow2')).toBeNull();
    expect((await send(served, 'HEAD', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(404);
    upload.abort();
  });
});

describe('an upload that does not end well leaves nothing', () => {
  test.each([
    ['of known length', 100],
    ['chunked', undefined],
  ])('aborted, %s: the old file stays, a new one does not appear, nothing is left open', async (_case, lengthBytes) => {
    await put('old', 'complete');
    const uploads = [await SlowUpload.start(served, guest, 'old', 'part', lengthBytes), await SlowUpload.start(served, guest, 'new', 'part', lengthBytes)];
    for (const upload of uploads) upload.abort();
    await released();
    expect(await filesOf(served, guest)).toEqual(['old']);
    expect(await contents('old')).toBe('complete');
    await until(() => served.requests.filter((line) => line.aborted).length === 2);
    expect(served.share.bytesReceived(guest.uuid)).toBe(0);
  });

  test('Content-Range is refused and changes nothing', async () => {
    await put('disk.qcow2', 'complete');
    expect(await put('disk.qcow2', 'XX', { 'Content-Range': 'bytes 0-1/8' })).toBe(403);
    expect(await put('new', 'XX', { 'Content-Range': 'bytes 0-1/2' })).toBe(403);
    expect(await filesOf(served, guest)).toEqual(['disk.qcow2']);
    expect(await contents('disk.qcow2')).toBe('complete');
  });

  test('a client that stops sending is cut after the idle timeout', async () => {
    const impatient = await ServedShare.start({ uploadIdleTimeoutMs: 200 });
    try {
      const stalled = await impatient.invite();
      const upload = await SlowUpload.start(impatient, stalled, 'disk.qcow2', 'half', 8);
      expect(await upload.status).toBeNull();
      await until(async () => (await openFilesOf(impatient)).length === 0 && (await filesOf(impatient, stalled)).length === 0);
    } finally {
      await impatient.stop();
    }
  });

  test('remove cuts an upload under way, waits for it, and later requests find nothing', async () => {
    await put('old', 'complete');
    const upload = await SlowUpload.start(served, guest, 'disk.qcow2', 'half', 1_000_000);
    await Promise.all([served.share.remove(guest.uuid), served.share.remove(guest.uuid)]);
    expect(await openFilesOf(served)).toEqual([]);
    await expect(stat(join(served.directory, guest.uuid))).rejects.toThrow(/ENOENT/);
    expect(await upload.status).toBeNull();
    expect(await put('disk.qcow2', 'again')).toBe(404);
    await served.share.remove(guest.uuid);
    await expect(stat(join(served.directory, guest.uuid))).rejects.toThrow(/ENOENT/);
  });

  test('close cuts uploads and answers 503; what is complete stays on the disk', async () => {
    await put('old', 'complete');
    const upload = await SlowUpload.start(served, guest, 'disk.qcow2', 'half', 1_000_000);
    await served.share.close();
    expect(await upload.status).toBeNull();
    expect(await put('disk.qcow2', 'again')).toBe(503);
    expect(await filesOf(served, guest)).toEqual(['old']);
  });

  test('a directory in the way of a name is an answer and no crash', async () => {
    await mkdir(join(served.directory, guest.uuid, 'disk.qcow2'));
    expect(await put('disk.qcow2', 'x')).toBe(500);
    await released();
    expect(await put('other', 'x')).toBe(201);
  });
});

describe('several uploads at once', () => {
  test('to one name they never mix: the file is one of them, whole', async () => {
    const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(3 * 1024 * 1024));
    const statuses = await Promise.all(bodies.map((body) => put('disk.qcow2', body)));
    expect(statuses.every((status) => status === 200 || status === 201)).toBe(true);
    expect(bodies).toContain(await contents('disk.qcow2'));
    await released();
  });

  test('the one that ends last stands', async () => {
    const first = await SlowUpload.start(served, guest, 'disk.qcow2', 'firs', 5);
    const second = await SlowUpload.start(served, guest, 'disk.qcow2', 'secon', 6);
    await second.send('d');
    expect(await second.end()).toBe(201);
    await first.send('t');
    expect(await first.end()).toBe(201);
    expect(await contents('disk.qcow2')).toBe('first');
  });

  test('more than any agent makes are refused', async () => {
    const uploads = await Promise.all([...'abcdefgh'].map((name) => SlowUpload.start(served, guest, name, 'x'.repeat(10), 20)));
    expect(await put('one-more', 'xx')).toBe(503);
    for (const upload of uploads) upload.abort();
    await released();
    expect(await put('one-more', 'xx')).toBe(201);
  });
});

describe('conditions', () => {
  test('If-Match and If-None-Match are kept', async () => {
    const etag = (await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, body: 'old' })).headers.etag ?? '';
    expect(await put('disk.qcow2', 'new', { 'If-None-Match': '*' })).toBe(412);
    expect(await put('disk.qcow2', 'new', { 'If-Match': '"other"' })).toBe(412);
    expect(await put('missing', 'new', { 'If-Match': '*' })).toBe(412);
    expect(await contents('disk.qcow2')).toBe('old');
    expect(await put('disk.qcow2', 'new', { 'If-Match': etag })).toBe(200);
    expect(await put('other', 'new', { 'If-None-Match': '*' })).toBe(201);
  });
});
