import { statfs } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServedShare, pathOf, send, until, type Guest } from './served-share.ts';
import { SlowUpload } from './slow-upload.ts';
import { filesOf, openFilesOf } from './spool-state.ts';

const KIB = 1024;
let served: ServedShare;
let guest: Guest;

beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite(100 * KIB);
});
afterEach(() => served.stop());

const put = async (name: string, sizeBytes: number, headers: Record<string, string> = {}): Promise<number> =>
  (await send(served, 'PUT', pathOf(guest, name), { guest, body: Buffer.alloc(sizeBytes), headers })).status;
const chunked = { 'Transfer-Encoding': 'chunked' };

describe('the quota of a snapshot', () => {
  test('exactly full is accepted, known or chunked', async () => {
    expect(await put('half', 50 * KIB)).toBe(201);
    expect(await put('rest', 50 * KIB, chunked)).toBe(201);
  });

  test('an announced body that is too long is refused before it is sent', async () => {
    const reply = await send(served, 'PUT', pathOf(guest, 'disk.qcow2'), { guest, headers: { 'Content-Length': 100 * KIB + 1 } });
    expect(reply.status).toBe(507);
    expect(reply.text).toMatch(/quota is 102400 bytes.*102401/);
    expect(await filesOf(served, guest)).toEqual([]);
  });

  test('a chunked body is cut at the limit', async () => {
    expect(await put('disk.qcow2', 1024 * KIB, chunked)).toBe(507);
    await until(async () => (await openFilesOf(served)).length === 0 && (await filesOf(served, guest)).length === 0);
  });

  test('it counts the sum of the directory, uploads under way included', async () => {
    expect(await put('first', 40 * KIB)).toBe(201);
    const upload = await SlowUpload.start(served, guest, 'second', 'x', 40 * KIB);
    expect(await put('third', 21 * KIB)).toBe(507);
    expect(await put('third', 21 * KIB, chunked)).toBe(507);
    expect(await put('third', 20 * KIB)).toBe(201);
    upload.abort();
    await until(() => served.share.bytesReceived(guest.uuid) === 0);
    expect(await put('fourth', 40 * KIB)).toBe(201);
  });

  test('a file that is replaced counts once, deleted not at all', async () => {
    expect(await put('disk.qcow2', 90 * KIB)).toBe(201);
    expect(await put('disk.qcow2', 100 * KIB)).toBe(200);
    expect(await put('other', 1)).toBe(507);
    expect((await send(served, 'DELETE', pathOf(guest, 'disk.qcow2'), { guest })).status).toBe(200);
    expect(await put('other', 100 * KIB)).toBe(201);
  });

  test('a person can read why the share refused; a later success takes it back', async () => {
    expect(served.share.refusalOf(guest.uuid)).toBeNull();
    await put('disk.qcow2', 200 * KIB);
    expect(served.share.refusalOf(guest.uuid)).toMatch(/quota is 102400 bytes/);
    await put('disk.qcow2', 10 * KIB);
    expect(served.share.refusalOf(guest.uuid)).toBeNull();
  });

  test('open again changes it', async () => {
    await served.share.open(guest.uuid, 10 * KIB);
    expect(await put('disk.qcow2', 11 * KIB)).toBe(507);
    await served.share.open(guest.uuid, 20 * KIB);
    expect(await put('disk.qcow2', 11 * KIB)).toBe(201);
  });
});

describe('the reserve of the spool', () => {
  test('an upload that would go below it is refused, and so is one that others have been promised the room for', async () => {
    const { bavail, bsize } = await statfs(served.directory);
    const roomBytes = 2 * 1024 ** 3;
    const tight = await ServedShare.start({ reserveBytes: bavail * bsize - roomBytes });
    try {
      const [one, two] = [await tight.invite(1024 ** 4), await tight.invite(1024 ** 4)];
      const sized = async (who: Guest, bytes: number): Promise<number> => (await send(tight, 'PUT', pathOf(who, 'disk.qcow2'), { guest: who, headers: { 'Content-Length': bytes, Connection: 'close' } })).status;
      expect(await sized(one, 2 * roomBytes)).toBe(507);
      const upload = await SlowUpload.start(tight, one, 'disk.qcow2', 'x', roomBytes * 0.75);
      expect(await sized(two, roomBytes * 0.75)).toBe(507);
      expect(tight.share.refusalOf(two.uuid)).toMatch(/promised to other uploads/);
      expect(await tight.share.freeBytes()).toBeLessThan(bavail * bsize - roomBytes * 0.5); // what is promised is not free
      upload.abort();
      await until(() => tight.share.bytesReceived(one.uuid) === 0);
      const after = await SlowUpload.start(tight, two, 'disk.qcow2', 'x', roomBytes * 0.5);
      after.abort();
    } finally {
      await tight.stop();
    }
  });

  test('freeBytes tells what the file system has', async () => {
    const { bavail, bsize } = await statfs(served.directory);
    expect(Math.abs((await served.share.freeBytes()) - bavail * bsize)).toBeLessThan(10 * 1024 ** 3);
  });
});
