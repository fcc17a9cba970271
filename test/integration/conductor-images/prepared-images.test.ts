/** The life of a prepared image: served to its machine only, kept over a restart, gone when it is removed. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdir, readdir, readlink, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DISK_STREAM_TYPE } from '../../../protocol/disk-stream.ts';
import { until } from '../../rig/until.ts';
import { ImageStage, LOOPBACK, MIB, digestOfFile, fileSource, readText } from './image-stage.ts';
import type { ImageSource } from '../../../conductor/drivers/deployment.ts';

let stage: ImageStage;
let uuid: string;
let source: ImageSource;
let rawDigest: string;
beforeEach(async () => {
  stage = await ImageStage.start({ allowedNetworks: LOOPBACK });
  uuid = randomUUID();
  const raw = await stage.makeRaw('disk.raw', 24 * MIB);
  rawDigest = await digestOfFile(raw, 'sha256');
  const path = join(stage.sources, 'disk.qcow2');
  await stage.qemuImg('convert', '-f', 'raw', '-O', 'qcow2', raw, path);
  source = await fileSource(path);
});
afterEach(() => stage.close());

/** A server that begins to answer and then says no more. */
async function stuckServer(): Promise<{ source: ImageSource; begun: Promise<unknown>; close(): Promise<void> }> {
  const server = createServer((request, response: ServerResponse) => {
    response.writeHead(200, { 'Content-Length': 1000 });
    if (request.method === 'HEAD') response.end();
    else response.write('QFI', () => server.emit('begun'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    source: { source: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.qcow2`, diskFormat: null, hashAlgo: null, hashValue: 'a'.repeat(64) },
    begun: once(server, 'begun'),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('on the provisioning listener', () => {
  beforeEach(async () => {
    await stage.prepare(uuid, source);
  });

  test('HEAD tells the type and the exact length, GET gives it, as often as it is asked for', async () => {
    const head = await stage.ask('HEAD', stage.url(uuid), { user: uuid });
    expect({ status: head.statusCode, type: head.headers['content-type'], cache: head.headers['cache-control'] }).toEqual({ status: 200, type: DISK_STREAM_TYPE, cache: 'no-store' });
    for (let time = 0; time < 2; time += 1) {
      const disk = await stage.readDisk(uuid);
      expect(disk).toMatchObject({ sha256: rawDigest, streamBytes: disk.announcedBytes });
      expect(disk.announcedBytes).toBe(Number(head.headers['content-length']));
    }
  });

  test('two reads at once, and one after another was broken off', async () => {
    const broken = await stage.ask('GET', stage.url(uuid), { user: uuid });
    await once(broken, 'readable');
    broken.destroy();
    const disks = await Promise.all([stage.readDisk(uuid), stage.readDisk(uuid)]);
    expect(disks.map(({ sha256 }) => sha256)).toEqual([rawDigest, rawDigest]);
    await until('no file is left open', async () => !(await openPaths()).some((path) => path.startsWith(stage.spool)));
  });

  test('without credentials, or with a wrong password: 401', async () => {
    for (const how of [{ user: null }, { user: uuid, password: 'wrong' }, { user: '', password: '' }]) {
      const reply = await stage.ask('GET', stage.url(uuid), how);
      expect({ status: reply.statusCode, asks: reply.headers['www-authenticate'] }).toEqual({ status: 401, asks: expect.stringContaining('Basic') });
    }
  });

  test("another operation's image is not there, nor is a list, nor anything below", async () => {
    const other = randomUUID();
    await stage.prepare(other, source);
    const base = stage.url(uuid).slice(0, -uuid.length);
    for (const path of [other, '', '/', `${uuid}/`, `${uuid}/index.json`, `../images/${other}`, `${uuid}/../${other}`, `%2e%2e/${other}`, uuid.toUpperCase()]) {
      const reply = await stage.ask('GET', base + path, { user: uuid });
      expect({ path, status: reply.statusCode }).toEqual({ path, status: 404 });
    }
  });

  test.each(['PUT', 'POST', 'DELETE', 'PROPFIND', 'PATCH', 'OPTIONS'])('%s: 405, and what may be done', async (method) => {
    const reply = await stage.ask(method, stage.url(uuid), { user: uuid });
    expect({ status: reply.statusCode, allow: reply.headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' });
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('a disk that was cut on the way is never sent as a whole one', async () => {
    const reply = await stage.ask('GET', stage.url(uuid), { user: uuid });
    reply.resume();
    await once(reply, 'end');
    await truncate(join(stage.spool, uuid, 'disk.raw'), MIB);
    expect((await stage.ask('GET', stage.url(uuid), { user: uuid })).statusCode).toBe(404);
    expect(await stage.images.prepared(uuid)).toBeNull();
  });

  test('removing the image cuts the machine that reads it', async () => {
    const big = await fileSource(await bigRaw());
    const operation = randomUUID();
    await stage.prepare(operation, big);
    const reply = await stage.ask('GET', stage.url(operation), { user: operation });
    await once(reply, 'readable'); // and reads no further
    const ended = once(reply, 'error');
    await stage.images.remove(operation);
    reply.resume();
    expect((await ended)[0]).toMatchObject({ code: 'ECONNRESET' });
    expect((await stage.ask('GET', stage.url(operation), { user: operation })).statusCode).toBe(404);
  });

  test('a machine that takes nothing is cut off', async () => {
    const impatient = await ImageStage.start({ limits: { machineIdleMs: 300 }, fileRoots: [stage.sources] });
    try {
      await impatient.prepare(uuid, await fileSource(await bigRaw()));
      const reply = await impatient.ask('GET', impatient.url(uuid), { user: uuid });
      await once(reply, 'readable');
      await until('its file is let go', async () => !(await openPaths()).some((path) => path.startsWith(impatient.spool)));
      const ended = once(reply, 'error');
      reply.resume();
      expect((await ended)[0]).toMatchObject({ code: 'ECONNRESET' });
    } finally {
      await impatient.close();
    }
  });

  test('a machine that pauses for longer than an image server may is not', async () => {
    const stuck = await stuckServer();
    const impatient = await ImageStage.start({ limits: { stallTimeoutMs: 200 }, fileRoots: [stage.sources], allowedNetworks: LOOPBACK });
    try {
      await impatient.prepare(uuid, await fileSource(await bigRaw()));
      const reply = await impatient.ask('GET', impatient.url(uuid), { user: uuid });
      await once(reply, 'readable');
      await expect(impatient.prepare(randomUUID(), stuck.source)).rejects.toMatchObject({ message: expect.stringContaining('has sent no data for 0.2 s') }); // three times meanwhile
      let bytes = 0;
      for await (const chunk of reply as AsyncIterable<Buffer>) bytes += chunk.length;
      expect(bytes).toBe(Number(reply.headers['content-length']));
    } finally {
      await impatient.close();
      await stuck.close();
    }
  });

  /** More than sockets hold. */
  async function bigRaw(): Promise<string> {
    const path = join(stage.sources, 'big.raw');
    await writeFile(path, Buffer.alloc(64 * MIB, 'x'));
    return path;
  }
});

describe('in the spool', () => {
  test('what is ready is kept: by a second call, and by a conductor that starts again', async () => {
    const first = await stage.prepare(uuid, source);
    const made = await stat(join(stage.spool, uuid, 'disk.raw'));
    await rm(join(stage.sources, 'disk.qcow2'));
    expect(await stage.prepare(uuid, source)).toEqual(first);
    await stage.restart();
    expect(await stage.images.prepared(uuid)).toEqual(first);
    expect(await stage.prepare(uuid, source)).toEqual(first);
    expect((await stat(join(stage.spool, uuid, 'disk.raw'))).mtimeMs).toBe(made.mtimeMs);
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('another source takes the place of the first', async () => {
    await stage.prepare(uuid, source);
    const other = await stage.makeRaw('other.raw', 20 * MIB);
    expect(await stage.prepare(uuid, await fileSource(other))).toMatchObject({ virtualSizeBytes: 20 * MIB });
    expect((await stage.readDisk(uuid)).sha256).toBe(await digestOfFile(other, 'sha256'));
  });

  test.each([
    ['no index', (directory: string) => rm(join(directory, 'index.json'))],
    ['a damaged index', (directory: string) => truncate(join(directory, 'index.json'), 20)],
    ['an index of something else', (directory: string) => writeFile(join(directory, 'index.json'), '{"version":7}')],
    ['a shorter disk', (directory: string) => truncate(join(directory, 'disk.raw'), MIB)],
    ['a half-fetched file', async (directory: string) => rm(join(directory, 'index.json')).then(() => writeFile(join(directory, 'fetched'), 'half'))],
  ])('after a crash that left %s the image is not ready, and is made anew', async (_name, damage) => {
    await stage.prepare(uuid, source);
    await damage(join(stage.spool, uuid));
    await stage.restart();
    expect(await stage.images.prepared(uuid)).toBeNull();
    await stage.prepare(uuid, source);
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
    expect(await readdir(join(stage.spool, uuid))).toEqual(['disk.raw', 'index.json']);
  });

  test('is for our user only, and holds no secret of a signed URL', async () => {
    await stage.prepare(uuid, source);
    for (const path of [stage.spool, join(stage.spool, uuid)]) expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readText(join(stage.spool, uuid, 'index.json'))).not.toContain(source.source);
  });

  test('two calls at once for one operation make one image', async () => {
    const results = await Promise.all([stage.prepare(uuid, source), stage.prepare(uuid, source)]);
    expect(results[0]).toEqual(results[1]);
    expect((await stage.readDisk(uuid)).sha256).toBe(rawDigest);
  });

  test('removing: everything of the operation, twice, and of one that never was', async () => {
    await stage.prepare(uuid, source);
    await stage.images.remove(uuid);
    await stage.images.remove(uuid);
    await stage.images.remove(randomUUID());
    expect(await stage.images.prepared(uuid)).toBeNull();
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('removing ends a preparation that is under way', async () => {
    const stuck = await stuckServer();
    try {
      const preparing = stage.prepare(uuid, stuck.source);
      preparing.catch(() => undefined);
      await stuck.begun;
      await stage.images.remove(uuid);
      await expect(preparing).rejects.toMatchObject({ message: expect.stringContaining('no longer wanted') });
      expect(await readdir(stage.spool)).toEqual([]);
    } finally {
      await stuck.close();
    }
  });

  test('orphans go, known ones and those under way stay, and so does what is none of ours', async () => {
    const stuck = await stuckServer();
    const underWay = randomUUID();
    const orphan = randomUUID();
    try {
      await stage.prepare(uuid, source);
      await stage.prepare(orphan, source);
      await mkdir(join(stage.spool, 'lost+found'));
      const preparing = stage.prepare(underWay, stuck.source);
      preparing.catch(() => undefined);
      await stuck.begun;
      expect(await stage.images.removeOrphans(new Set([uuid]))).toEqual([orphan]);
      expect((await readdir(stage.spool)).sort()).toEqual([uuid, underWay, 'lost+found'].sort());
      await stage.images.remove(underWay);
      await expect(preparing).rejects.toThrow();
    } finally {
      await stuck.close();
    }
  });

  test('a spool that was never made has no orphans', async () => {
    expect(await stage.images.removeOrphans(new Set())).toEqual([]);
  });

  test('closing ends what is under way and keeps what is ready', async () => {
    const stuck = await stuckServer();
    try {
      await stage.prepare(uuid, source);
      const preparing = stage.prepare(randomUUID(), stuck.source);
      preparing.catch(() => undefined);
      await stuck.begun;
      await stage.images.close();
      await expect(preparing).rejects.toMatchObject({ message: expect.stringContaining('shutting down') });
      expect((await stage.ask('GET', stage.url(uuid), { user: uuid })).statusCode).toBe(503);
      expect(await readdir(stage.spool)).toEqual([uuid]);
    } finally {
      await stuck.close();
    }
  });

  test.each(['..', '../x', '', 'x', 'AAAAAAAA-0000-4000-8000-000000000000'])('%j is no operation', async (name) => {
    await expect(stage.prepare(name, source)).rejects.toMatchObject({ httpStatus: 400 });
    await expect(stage.images.remove(name)).rejects.toMatchObject({ httpStatus: 400 });
    expect(() => stage.images.location(name)).toThrow();
  });
});

/** Files that this process has open. */
async function openPaths(): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  return (await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))).filter((path) => path !== '');
}
