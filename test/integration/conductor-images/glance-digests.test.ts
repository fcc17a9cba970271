/** Images of an image service that was told to use another digest than sha512. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GlanceClient } from '../../../image-service/client.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { ImageStage, MIB, unaborted } from './image-stage.ts';

const data = randomBytes(MIB);
const id = randomUUID();
let digest: { os_hash_algo: string; os_hash_value: string };
let service: Server;
let stage: ImageStage;
beforeEach(async () => {
  service = createServer((request, response) => {
    if (request.url?.endsWith('/file')) response.end(data);
    else response.end(JSON.stringify({ id, name: 'x', status: 'active', container_format: 'bare', disk_format: 'raw', size: data.length, ...digest }));
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  const images = new GlanceClient({ url: `http://127.0.0.1:${(service.address() as AddressInfo).port}`, token: noToken, timeoutMs: 5_000, log: createLogger('client', 'silent') });
  stage = await ImageStage.start({ images });
});
afterEach(async () => {
  await stage.close();
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

const source = { source: id, diskFormat: null, hashAlgo: null, hashValue: null };

test.each([
  ['sha256', 'sha256'],
  ['sha3_256', 'sha3-256'], // as Python's hashlib, and so Glance, writes it
  ['sha3_512', 'sha3-512'],
  ['blake2b', 'blake2b512'],
])('%s: proven', async (os_hash_algo, algo) => {
  const os_hash_value = createHash(algo).update(data).digest('hex');
  digest = { os_hash_algo, os_hash_value };
  expect(await stage.images.describe(source, unaborted())).toMatchObject({ hashAlgo: algo, hashValue: os_hash_value });
  const uuid = randomUUID();
  await stage.prepare(uuid, source);
  expect((await stage.readDisk(uuid)).sha256).toBe(createHash('sha256').update(data).digest('hex'));
});

test('one that nobody knows: refused before anything is fetched', async () => {
  digest = { os_hash_algo: 'shake_256', os_hash_value: 'a'.repeat(64) };
  await expect(stage.images.describe(source, unaborted())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('found "shake_256"') });
  await expect(stage.prepare(randomUUID(), source)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('found "shake_256"') });
});
