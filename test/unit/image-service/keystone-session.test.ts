/** What a real Keystone cannot be made to do: hang, fail, answer nonsense, end tokens on demand. All else is tested with the real one. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { KeystoneSession, type KeystoneOptions } from '../../../image-service/keystone-session.ts';
import { OperationFailedError, TemporarilyUnavailableError } from '../../../protocol/errors.ts';

const SECRET = 'correct horse battery staple';
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let keystone: Server;
let asked: { method: string; url: string; own: unknown; body: string }[];
let answers: { POST: Answer; GET: Answer };
/** Seconds that the next token lives. */
let lifeS: number;
let made: number;

beforeEach(async () => {
  asked = [];
  lifeS = 3600;
  made = 0;
  answers = {
    POST: (_request, response) => void response.writeHead(201, { 'X-Subject-Token': `token-${(made += 1)}` }).end(documentOf(lifeS)),
    GET: (_request, response) => void response.end(documentOf(lifeS)),
  };
  keystone = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (more: string) => (body += more));
    request.on('end', () => {
      asked.push({ method: request.method ?? '', url: request.url ?? '', own: request.headers['x-auth-token'], body });
      answers[request.method as 'POST' | 'GET'](request, response);
    });
  });
  await new Promise<void>((resolve) => keystone.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  jest.restoreAllMocks();
  keystone.closeAllConnections();
  await new Promise((resolve) => keystone.close(resolve));
});

/** A clock of its own, years away: only the difference may count. */
function documentOf(seconds: number): string {
  const issuedAt = Date.UTC(2001, 0, 1);
  const token = { user: { id: 'u', name: 'ann' }, project: { id: 'p', name: 'alpha', domain: { id: 'default', name: 'Default' } }, roles: [], issued_at: new Date(issuedAt).toISOString(), expires_at: new Date(issuedAt + seconds * 1000).toISOString() };
  return JSON.stringify({ token });
}
const session = (options: Partial<KeystoneOptions> = {}): KeystoneSession =>
  new KeystoneSession({
    authUrl: `http://127.0.0.1:${(keystone.address() as AddressInfo).port}`,
    credentials: { kind: 'password', username: 'ann', userDomainName: 'Default', projectName: 'alpha', projectDomainName: 'Default', secret: async () => SECRET },
    configKey: 'image_service.keystone',
    interface: 'public',
    timeoutMs: 5_000,
    ...options,
  });
const failure = async (work: Promise<unknown>): Promise<Error> => {
  const error = await work.then(
    (value) => new Error(`no failure, but ${String(value)}`),
    (thrown: unknown) => thrown as Error,
  );
  // neither the message nor anything that hangs on it, for a logger to find
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET);
  return error;
};

describe('a token', () => {
  test('is made once for all who ask at once, and kept', async () => {
    const one = session();
    expect(await Promise.all([one.token(), one.token(), one.projectId()])).toEqual(['token-1', 'token-1', 'p']);
    expect(await one.token()).toBe('token-1');
    expect(asked).toMatchObject([{ method: 'POST', url: '/v3/auth/tokens' }]);
  });

  test('is made anew once it is rejected, but not because an older one is', async () => {
    const one = session();
    one.reject(await one.token());
    expect(await one.token()).toBe('token-2');
    one.reject('token-1');
    expect(await one.token()).toBe('token-2');
  });

  test('is made anew when it ends within what a request needs', async () => {
    const start = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(start);
    const one = session();
    await one.token();
    clock.mockReturnValue(start + 3_400_000); // 200 s are left
    expect(await one.token()).toBe('token-1');
    expect(await one.token(300_000)).toBe('token-2');
    clock.mockReturnValue(start + 6_900_000); // 100 s are left
    expect(await one.token()).toBe('token-3');
  });

  test('that lives shorter than a request needs is not made again and again', async () => {
    lifeS = 300;
    const one = session();
    for (let turn = 0; turn < 3; turn += 1) expect(await one.token(4 * 3_600_000)).toBe('token-1');
  });

  test('cannot be had: the next request asks again', async () => {
    const { POST } = answers;
    answers.POST = (_request, response) => void response.writeHead(503).end();
    const one = session();
    await failure(one.token());
    answers.POST = POST;
    expect(await one.token()).toBe('token-1');
  });

  test.each(['/', '/v3', '/v3/'])('is asked for below /v3, whether the configured URL ends in "%s" or not', async (end) => {
    await session({ authUrl: `http://127.0.0.1:${(keystone.address() as AddressInfo).port}/identity${end}` }).token();
    expect(asked[0]?.url).toBe('/identity/v3/auth/tokens');
  });
});

describe('a Keystone in trouble', () => {
  test.each<[string, Answer]>([
    ['is too busy', (_request, response) => void response.writeHead(503).end('busy')],
    ['fails', (_request, response) => void response.writeHead(500).end('<html>')],
    ['hangs', () => undefined],
    ['cuts the connection', (request) => void request.socket.destroy()],
  ])('that %s is for now', async (_case, answer) => {
    answers.POST = answer;
    const error = await failure(session({ timeoutMs: 300 }).token());
    expect(error).toBeInstanceOf(TemporarilyUnavailableError);
    expect(error.message).toContain('Keystone');
  });

  test('that nobody listens for is for now, and the key is named', async () => {
    const error = await failure(session({ authUrl: 'http://127.0.0.1:9' }).token());
    expect(error).toBeInstanceOf(TemporarilyUnavailableError);
    expect(error.message).toContain('image_service.keystone.auth_url');
  });

  test.each<[string, Answer]>([
    ['is no Keystone', (_request, response) => void response.writeHead(404).end('nothing here')],
    ['answers without a token', (_request, response) => void response.writeHead(201).end(documentOf(60))],
    ['answers with garbage', (_request, response) => void response.writeHead(201, { 'X-Subject-Token': 't' }).end('{"token": 1')],
    ['answers with times that are none', (_request, response) => void response.writeHead(201, { 'X-Subject-Token': 't' }).end(documentOf(60).replace(/"expires_at":"[^"]*"/, '"expires_at":"soon"'))],
    ['sends us elsewhere', (_request, response) => void response.writeHead(300, { Location: '/v2.0/' }).end()],
  ])('that %s is named with its key', async (_case, answer) => {
    answers.POST = answer;
    const error = await failure(session().token());
    expect(error).toBeInstanceOf(OperationFailedError);
    expect(error.message).toContain('check image_service.keystone.auth_url');
  });
});

describe('asking about a token', () => {
  test('goes on with a new token of our own when Keystone rejects ours, once', async () => {
    answers.GET = (request, response) => void (request.headers['x-auth-token'] === 'token-1' ? response.writeHead(401).end() : response.end(documentOf(60)));
    expect(await session().inspect('theirs')).toMatchObject({ user: { name: 'ann' } });
    expect(asked.map(({ method, own }) => [method, own])).toEqual([['POST', undefined], ['GET', 'token-1'], ['POST', undefined], ['GET', 'token-2']]);
    answers.GET = (_request, response) => void response.writeHead(401).end();
    expect((await failure(session().inspect('theirs'))).message).toContain('rejects the token that it has just made for us');
  });

  test.each<[string, Answer]>([
    ['fails', (_request, response) => void response.writeHead(502).end()],
    ['hangs', () => undefined],
  ])('never ends in "no token" when Keystone %s', async (_case, answer) => {
    answers.GET = answer;
    expect(await failure(session({ timeoutMs: 300 }).inspect('theirs'))).toBeInstanceOf(TemporarilyUnavailableError);
  });
});
