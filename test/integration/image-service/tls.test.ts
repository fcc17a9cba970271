/** An image service behind https: uploads and downloads hold to the same trust as every other request. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { GlanceClient } from '../../../image-service/client.ts';
import { createImageServer, type ImageServer } from '../../../image-service/embedded/server.ts';
import { noToken } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { fileData } from '../../rig/image-data.ts';

const log = createLogger('tls', 'silent');
const DATA = randomBytes(100_000);
let directory: string;
let images: ImageServer;
let server: Server;
let certificate: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-tls-'));
  await writeFile(join(directory, 'spooled'), DATA);
  images = createImageServer({ directory: join(directory, 'images'), log });
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'image service' }], { extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }] });
  certificate = cert;
  server = createServer({ cert, key }, images.app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await images.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

const client = (trust: { ca?: string; insecure?: boolean }): GlanceClient => new GlanceClient({ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, token: noToken, timeoutMs: 10_000, log, ...trust });

test.each([['the certificate is given', () => ({ ca: certificate })], ['any certificate is trusted by configuration', () => ({ insecure: true })]])('data goes both ways when %s', async (_how, trust) => {
  const images = client(trust());
  const { id } = await images.create({ disk_format: 'raw', container_format: 'bare' });
  await images.upload(id, fileData(join(directory, 'spooled')), DATA.length, { signal: new AbortController().signal });
  expect(await images.download(id, createWriteStream('/dev/null'))).toEqual({ sizeBytes: DATA.length, hashValue: createHash('sha512').update(DATA).digest('hex') });
});

test('a certificate that nobody vouches for is refused, and no data is sent', async () => {
  const { id } = await client({ ca: certificate }).create({ disk_format: 'raw', container_format: 'bare' });
  await expect(client({}).show(id)).rejects.toMatchObject({ httpStatus: 503, message: expect.stringMatching(/self-signed certificate/i) });
  await expect(client({}).upload(id, fileData(join(directory, 'spooled')), DATA.length, { signal: new AbortController().signal })).rejects.toMatchObject({ message: expect.stringMatching(/self-signed certificate/i), data: { status: null, imageStatus: 'unknown' } });
  expect((await client({ ca: certificate }).show(id))?.status).toBe('queued');
});
