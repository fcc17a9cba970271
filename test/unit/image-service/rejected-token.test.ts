/** What the client does when the image service rejects a token that seemed good. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GlanceClient } from '../../../image-service/client.ts';
import { staticToken, type TokenProvider } from '../../../image-service/token-provider.ts';
import { createLogger } from '../../../protocol/log.ts';
import { fileData } from '../../rig/image-data.ts';

const ID = '11111111-1111-4111-8111-111111111111';
let directory: string;
let path: string;
let service: Server;
let seen: { method: string; token: unknown; bytes: number }[];
let accepted: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rejected-token-'));
  path = join(directory, 'spooled');
  await writeFile(path, Buffer.alloc(3 * 1024 * 1024, 7));
  seen = [];
  accepted = 'token-2';
  service = createServer().on('request', (request, response) => {
    const entry = { method: request.method ?? '', token: request.headers['x-auth-token'], bytes: 0 };
    seen.push(entry);
    request.on('data', (data: Buffer) => (entry.bytes += data.length));
    request.on('end', () => void response.writeHead(entry.token !== accepted ? 401 : request.method === 'PUT' ? 204 : 200).end(request.method === 'PUT' ? '' : JSON.stringify({ id: ID, status: 'queued' })));
  });
  // as Glance behind keystonemiddleware: before the data
  service.on('checkContinue', (request, response) => {
    if (request.headers['x-auth-token'] === accepted) {
      response.writeContinue();
      service.emit('request', request, response);
    } else {
      seen.push({ method: request.method ?? '', token: request.headers['x-auth-token'], bytes: 0 });
      response.writeHead(401, { Connection: 'close' }).end();
    }
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
  await rm(directory, { recursive: true });
});

/** Tokens in a row; the next one once the present one is rejected. */
class Tokens implements TokenProvider {
  #number = 1;
  token = (): Promise<string> => Promise.resolve(`token-${this.#number}`);
  projectId = (): Promise<null> => Promise.resolve(null);
  reject = (token: string): void => void (token === `token-${this.#number}` && (this.#number += 1));
}
const client = (token: TokenProvider): GlanceClient => new GlanceClient({ url: async () => `http://127.0.0.1:${(service.address() as AddressInfo).port}/v2/`, token, timeoutMs: 5_000, log: createLogger('client', 'silent') });
const upload = (token: TokenProvider): Promise<void> => client(token).upload(ID, fileData(path), 3 * 1024 * 1024, { signal: new AbortController().signal });

test('a request is sent once more, with another token', async () => {
  expect(await client(new Tokens()).show(ID)).toMatchObject({ status: 'queued' });
  expect(seen).toEqual([{ method: 'GET', token: 'token-1', bytes: 0 }, { method: 'GET', token: 'token-2', bytes: 0 }]);
});

test('an upload that is refused before its data is sent once more, whole', async () => {
  await upload(new Tokens());
  expect(seen).toEqual([{ method: 'PUT', token: 'token-1', bytes: 0 }, { method: 'PUT', token: 'token-2', bytes: 3 * 1024 * 1024 }]);
});

test('a second rejection is final: nothing is tried a third time', async () => {
  accepted = 'token-3';
  await expect(client(new Tokens()).show(ID)).rejects.toMatchObject({ code: 'OperationFailed', data: { status: 401 } });
  expect(seen).toHaveLength(2);
  await expect(upload(new Tokens())).rejects.toThrow('does not accept our credentials');
  expect(seen.filter(({ method }) => method === 'PUT')).toHaveLength(2);
});

test('a fixed token is sent once: there is no other', async () => {
  await expect(client(staticToken('token-1')).show(ID)).rejects.toMatchObject({ data: { status: 401 } });
  expect(seen).toHaveLength(1);
});
