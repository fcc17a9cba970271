import { randomBytes } from 'node:crypto';
import { open, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { generate } from 'selfsigned';
import { runProgram } from '../../../protocol/program.ts';
import { ServedShare, pathOf, until, type Guest, type ServedShareOptions } from '../../unit/webdav/served-share.ts';
import { openFilesOf, sha512 } from '../../unit/webdav/spool-state.ts';
import { DavfsMount, type DavfsOptions } from './davfs-mount.ts';

const MIB = 1024 * 1024;
const TEST_TIMEOUT_MS = 120_000;
const NAME = 'disk.qcow2';

let served: ServedShare;
let guest: Guest;
let mount: DavfsMount | undefined;

async function start(options: ServedShareOptions = {}, quotaBytes?: number): Promise<void> {
  served = await ServedShare.start(options);
  guest = await served.invite(quotaBytes);
}
async function mountShare(options: DavfsOptions = {}): Promise<string> {
  mount = await DavfsMount.open(guest, options);
  return join(mount.mountPoint, NAME);
}
afterEach(async () => {
  await mount?.close();
  mount = undefined;
  await served.stop();
});

const makeCertificate = async (): Promise<{ key: string; cert: string }> => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'share' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  return { key, cert };
};

/** 100 MiB that no compression and no zero detection makes smaller, cheaply made. */
const makeImage = (): Buffer => {
  const piece = randomBytes(MIB);
  return Buffer.concat(Array.from({ length: 100 }, (_, index) => Buffer.concat([Buffer.from(String(index).padStart(8)), piece.subarray(8)])));
};

const statusesOf = (method: string, name = NAME): number[] => served.requests.filter((line) => line.method === method && line.path === pathOf(guest, name)).map((line) => line.status);
const received = async (): Promise<string | null> => {
  const file = await served.share.received(guest.uuid, NAME);
  return file && sha512(await readFile(file.path));
};

async function expectWholeFile(image: Buffer): Promise<void> {
  expect(await mount?.leftovers()).toEqual([]);
  expect(await mount?.isMounted()).toBe(false);
  expect((await served.share.received(guest.uuid, NAME))?.sizeBytes).toBe(image.length);
  expect(await received()).toBe(sha512(image));
  expect(served.requests.find((line) => line.method === 'PUT' && line.bytes === image.length)).toMatchObject({ snapshot: guest.uuid });
  expect(statusesOf('PROPFIND', '')).toContain(207);
  expect(statusesOf('LOCK')).toContain(201);
  expect(statusesOf('UNLOCK')).toEqual([204]);
}

describe('a davfs2 mount', () => {
  test('over http delivers a file whole, by PROPFIND, LOCK and PUT through the share', async () => {
    await start();
    const path = await mountShare();
    expect((await readFile('/proc/mounts', 'utf8')).split('\n').find((line) => line.includes(` ${mount?.mountPoint} `))).toMatch(new RegExp(`^${guest.url} .* fuse `));
    const image = makeImage();
    await writeFile(path, image);
    await mount?.unmount();
    await expectWholeFile(image);
  }, TEST_TIMEOUT_MS);

  test.each(['trust_server_cert', 'trust_ca_cert'] as const)('over https with the certificate pinned by %s does the same', async (pin) => {
    const tls = await makeCertificate();
    await start({ tls });
    const { ca } = await served.share.open(guest.uuid, 1024 ** 3);
    expect(ca).toBe(tls.cert);
    const path = await mountShare({ certificate: tls.cert, pin });
    const image = makeImage();
    await writeFile(path, image);
    await mount?.unmount();
    await expectWholeFile(image);
  }, TEST_TIMEOUT_MS);

  test('over https with another certificate pinned is not made', async () => {
    await start({ tls: await makeCertificate() });
    await expect(mountShare({ certificate: (await makeCertificate()).cert })).rejects.toThrow(/certificate/i);
    expect(served.requests).toEqual([]);
  }, TEST_TIMEOUT_MS);

  test('with a wrong password is not made', async () => {
    await start();
    guest = { ...guest, password: 'wrong' };
    await expect(mountShare()).rejects.toThrow(/authorize|authenticat/i);
  }, TEST_TIMEOUT_MS);

  test('takes what qemu-img convert writes onto it', async () => {
    await start();
    const path = await mountShare();
    const raw = join(served.directory, 'disk.raw');
    await writeFile(raw, makeImage());
    await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path], { timeoutMs: 60_000 });
    await mount?.unmount();
    expect(await mount?.leftovers()).toEqual([]);
    const file = await served.share.received(guest.uuid, NAME);
    await runProgram('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, file?.path ?? ''], { timeoutMs: 60_000 });
  }, TEST_TIMEOUT_MS);

  test('may delete and rewrite its own file', async () => {
    await start();
    const path = await mountShare();
    await writeFile(path, 'first try');
    await until(() => statusesOf('PUT').length > 0);
    await runProgram('rm', [path], { timeoutMs: 10_000 });
    await writeFile(path, 'second try');
    await mount?.unmount();
    expect(statusesOf('DELETE')).toEqual([200]);
    expect(await received()).toBe(sha512('second try'));
  }, TEST_TIMEOUT_MS);
});

describe('the conductor dies while a capture fills the cache of davfs2', () => {
  test.each([
    ['the lock is refreshed after the restart', 1_795, ['LOCK', 'PUT', 'UNLOCK']],
    ['the upload is the first that is heard', 60, ['PUT', 'UNLOCK']],
  ])('and starts again: %s, and the file arrives whole', async (_case, refreshSeconds, methods) => {
    await start();
    const path = await mountShare({ settings: { lock_refresh: refreshSeconds, dir_refresh: 1 } });
    const image = makeImage();
    const file = await open(path, 'w');
    try {
      await file.write(image.subarray(0, MIB));
      await until(() => statusesOf('LOCK').length === 1);
      served = await served.restart();
      expect(await readdir(mount?.mountPoint ?? '')).toContain(NAME);
      await file.writeFile(image.subarray(MIB));
      if (methods.includes('LOCK')) await until(() => statusesOf('LOCK').length > 0, 60_000);
    } finally {
      await file.close();
    }
    await mount?.unmount();
    expect(await mount?.leftovers()).toEqual([]);
    expect(await received()).toBe(sha512(image));
    expect(served.requests.filter((line) => line.path === pathOf(guest, NAME)).map((line) => line.method)).toEqual(methods);
    expect(served.requests.filter((line) => line.path === pathOf(guest, NAME)).map((line) => Math.floor(line.status / 100))).toEqual(methods.map(() => 2));
  }, TEST_TIMEOUT_MS);
});

test('a davfs2 mount whose upload is cut by the death of the conductor sends it again to the next one', async () => {
  await start();
  const path = await mountShare({ settings: { retry: 1, max_retry: 1, read_timeout: 5 } });
  const image = makeImage();
  const written = writeFile(path, image);
  await until(() => served.share.bytesReceived(guest.uuid) > 0);
  const dying = served;
  served = await dying.restart(() => until(() => dying.requests.some((line) => line.method === 'PUT' && line.aborted)));
  await written;
  await until(() => statusesOf('PUT').includes(200), 90_000);
  await mount?.unmount();
  expect(await mount?.leftovers()).toEqual([]);
  expect(await received()).toBe(sha512(image));
}, TEST_TIMEOUT_MS);

describe('a davfs2 mount whose share refuses', () => {
  beforeEach(() => start({}, 10 * MIB));

  test('for the quota: umount says nothing, nothing is received, the data lies in the cache, and the share knows why', async () => {
    const path = await mountShare();
    await writeFile(path, makeImage());
    await mount?.unmount();
    expect(statusesOf('PUT')).toContain(507);
    expect(await received()).toBeNull();
    expect(await mount?.leftovers()).not.toEqual([]);
    expect(served.share.refusalOf(guest.uuid)).toMatch(/quota is 10485760 bytes/);
    expect(await openFilesOf(served)).toEqual([]);
  }, TEST_TIMEOUT_MS);

  test('because the credential was revoked: nothing is received', async () => {
    const path = await mountShare();
    served.passwords.clear();
    await writeFile(path, 'too late').catch(() => undefined); // davfs2 may tell, or take it into its cache
    await mount?.unmount();
    expect(statusesOf('PUT').filter((status) => status < 400)).toEqual([]);
    expect(await received()).toBeNull();
  }, TEST_TIMEOUT_MS);
});
