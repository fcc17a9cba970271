/** A file system without room, for the embedded image service and a real Glance. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { ImageApi } from './image-api.ts';
import { SERVER_KINDS, type RunningServer } from './servers.ts';
import { fileData } from '../../rig/image-data.ts';

const MIB = 1024 ** 2;

describeWhere(['root'], 'a file system without room', () => describe.each(SERVER_KINDS)('$name', (kind) => {
  let directory: string;
  let storeDirectory: string;
  let server: RunningServer | undefined;
  let api: ImageApi;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'full-store-'));
    storeDirectory = join(directory, 'store');
    await mkdir(storeDirectory);
    await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', storeDirectory], { timeoutMs: 5_000 });
    server = await kind.start(storeDirectory);
    api = new ImageApi(server.url);
  }, 90_000);
  afterEach(async () => {
    await server?.stop();
    await runProgram('umount', [storeDirectory], { timeoutMs: 10_000 });
    await rm(directory, { recursive: true });
  });

  test('an upload that does not fit: 413 and queued again, and one that fits succeeds', async () => {
    const id = await api.create();
    expect(await api.upload(id, Buffer.alloc(16 * MIB))).toMatchObject({ status: 413, text: expect.stringContaining('Image storage media is full') });
    await api.untilQueued(id);
    expect((await api.upload(id, Buffer.alloc(6 * MIB))).status).toBe(204);
  });

  test('an upload of unknown length that fills the storage: the same, and a client that sends all before it reads gets the answer', async () => {
    const id = await api.create();
    const upload = await api.beginUpload(id, Buffer.alloc(MIB));
    expect(await upload.finish(Buffer.alloc(64 * MIB))).toMatchObject({ status: 413 });
    await api.untilQueued(id);
    expect((await api.upload(id, Buffer.alloc(6 * MIB))).status).toBe(204);
  });

  test('our client says that there is no room, and that a retry makes no sense', async () => {
    const client = new GlanceClient({ url: (server as RunningServer).url, token: noToken, timeoutMs: 20_000, log: createLogger('client', 'silent') });
    const path = join(directory, 'large');
    await writeFile(path, Buffer.alloc(32 * MIB));
    const { id } = await client.create({ disk_format: 'raw', container_format: 'bare' });
    const upload = client.upload(id, fileData(path), 32 * MIB, { signal: new AbortController().signal });
    await expect(upload).rejects.toMatchObject({ message: expect.stringContaining('has no room for it'), data: { status: 413, retryable: false } });
    expect(await client.settle(id, { timeoutMs: 10_000 })).toMatchObject({ status: 'queued' });
  });
}));
