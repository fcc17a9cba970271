import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ServedShare, pathOf, send, type Guest } from './served-share.ts';
import { SlowUpload } from './slow-upload.ts';
import { filesOf } from './spool-state.ts';

let served: ServedShare;
let guest: Guest;

beforeEach(async () => {
  served = await ServedShare.start();
  guest = await served.invite(1_000);
});
afterEach(() => served.stop());

const put = async (name: string, body: string): Promise<number> => (await send(served, 'PUT', pathOf(guest, name), { guest, body })).status;

/** A new share on the same spool, as after kill -9: what was half-done lies there as a real process would have left it. */
async function restart(): Promise<void> {
  const { directory } = served;
  served = await served.restart(() => writeFile(join(directory, guest.uuid, '.upload-left-behind'), 'half of an image'));
}

describe('a conductor that starts again', () => {
  test.each([
    ['opened again', true],
    ['asked for by its agent first', false],
  ])('serves the directory of an unfinished snapshot, %s: complete files stay, halves are gone', async (_case, opens) => {
    expect(await put('disk.qcow2', 'complete')).toBe(201);
    await restart();
    if (opens) await served.share.open(guest.uuid, 1_000);
    expect(await served.share.received(guest.uuid, 'disk.qcow2')).toMatchObject({ sizeBytes: 8 });
    expect(await filesOf(served, guest)).toEqual(['disk.qcow2']);
    expect(await put('disk.qcow2', 'replaced')).toBe(200);
  });

  test('keeps the quota without being told, and what is there counts', async () => {
    expect(await put('disk.qcow2', 'x'.repeat(900))).toBe(201);
    await restart();
    expect(await put('other', 'x'.repeat(101))).toBe(507);
    expect(await put('other', 'x'.repeat(100))).toBe(201);
  });

  test('first requests that come together do not disturb each other', async () => {
    await restart();
    const statuses = await Promise.all(['a', 'b', 'c', 'd'].map((name) => put(name, name)));
    expect(statuses).toEqual([201, 201, 201, 201]);
    expect(await filesOf(served, guest)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('removes directories of snapshots that nobody knows, with all in them, and nothing else', async () => {
    const orphan = await served.invite();
    await put('disk.qcow2', 'complete');
    await send(served, 'PUT', pathOf(orphan, 'disk.qcow2'), { guest: orphan, body: 'x' });
    await mkdir(join(served.directory, 'lost+found'));
    const older = randomUUID();
    await mkdir(join(served.directory, older));
    await restart();
    expect((await served.share.removeOrphans(new Set([guest.uuid]))).sort()).toEqual([orphan.uuid, older].sort());
    expect(await readFile(join(served.directory, guest.uuid, 'disk.qcow2'), 'utf8')).toBe('complete');
    await expect(stat(join(served.directory, orphan.uuid))).rejects.toThrow(/ENOENT/);
    expect(await served.share.removeOrphans(new Set([guest.uuid]))).toEqual([]);
  });
});

describe('open', () => {
  test('may be called again while an upload runs: it goes on', async () => {
    const upload = await SlowUpload.start(served, guest, 'disk.qcow2', 'half', 8);
    const { url } = await served.share.open(guest.uuid, 2_000);
    expect(url).toBe(`${served.origin}/snapshots/${guest.uuid}/`);
    await upload.send('done');
    expect(await upload.end()).toBe(201);
  });

  test.each(['', '..', '../x', 'not-a-uuid', '/etc'])('takes no other name than a uuid: "%s"', async (name) => {
    await expect(served.share.open(name, 1)).rejects.toThrow(/uuid/);
    await expect(served.share.remove(name)).rejects.toThrow(/uuid/);
    await expect(served.share.received(name, 'passwd')).rejects.toThrow(/uuid/);
  });

  test('received gives no path outside of the directory', async () => {
    for (const name of ['../../etc/passwd', '..', '.quota', '']) expect(await served.share.received(guest.uuid, name)).toBeNull();
  });
});
