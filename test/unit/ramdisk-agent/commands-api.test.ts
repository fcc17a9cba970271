import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { createLogger } from '../../../protocol/log.ts';
import { provideCertificate } from '../../../ramdisk-agent/certificate.ts';
import { CommandJournal } from '../../../ramdisk-agent/commands/command-journal.ts';
import { CommandQueue } from '../../../ramdisk-agent/commands/command-queue.ts';
import { CommandServer } from '../../../ramdisk-agent/commands/command-server.ts';
import { defineCommand } from '../../../ramdisk-agent/commands/define-command.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';
import { until } from '../../rig/until.ts';

const TOKEN = 'a-token-that-is-long-enough-for-an-agent-0123';
const SECRET = 'do-not-tell';

/** Commands that end when the test says so: what is under test is everything around them. */
class Work {
  finish: (result: { done: boolean }) => void = () => undefined;
  fail: (error: Error) => void = () => undefined;
  released = 0;
  readonly extension = {
    look: defineCommand({ paramsSchema: z.strictObject({ broken: z.boolean().optional() }), secretParams: [], aside: true, run: ({ broken }) => (broken ? Promise.reject(new OperationFailedError('it is dark')) : Promise.resolve({ seen: 'all' })) }),
    work: defineCommand({
      paramsSchema: z.strictObject({ steps: z.number(), password: z.string().optional() }),
      secretParams: ['password'],
      run: async ({ steps }, { signal, report }) => {
        report({ steps_done: 0, steps_total: steps });
        try {
          return await new Promise<{ done: boolean }>((resolve, reject) => {
            this.finish = resolve;
            this.fail = reject;
            signal.addEventListener('abort', () => setImmediate(reject, signal.reason));
          });
        } finally {
          this.released += 1;
        }
      },
    }),
  };
}

let directory: string;
let runDirectory: RunDirectory;
let work: Work;
let server: CommandServer;
let queue: CommandQueue;
let ended: number;
let token: string | null;
let call: (method: string, path: string, options?: { token?: string | null; body?: unknown }) => Promise<{ status: number; data: CommandReport & { message: string; type: string; commands: CommandReport[] }; allow: unknown }>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-api-'));
  runDirectory = new RunDirectory(join(directory, 'run'));
  work = new Work();
  ended = 0;
  token = TOKEN;
  const log = createLogger('agent', 'silent');
  queue = new CommandQueue({ test: work.extension }, new CommandJournal(runDirectory), log, () => (ended += 1));
  const certificate = await provideCertificate(runDirectory, '127.0.0.1');
  server = new CommandServer({ queue, certificate, token: () => token, log });
  const port = await server.listen('127.0.0.1', 0);
  const client = createHttpClient({ baseURL: `https://127.0.0.1:${port}`, ca: certificate.certificate, timeoutMs: 10_000 });
  call = async (method, url, { token: given = TOKEN, body } = {}) => {
    const reply = await client.request({ method, url, params: given === null ? {} : { agent_token: given }, data: body });
    return { status: reply.status, data: reply.data as never, allow: reply.headers['allow'] };
  };
});
afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

const start = (body: unknown = { name: 'test.work', params: { steps: 3 } }, wait = 'false'): ReturnType<typeof call> => call('POST', `/v1/commands/?wait=${wait}`, { body });

describe('commands', () => {
  test('run in the background and tell their progress, then their result', async () => {
    const started = await start();
    expect(started).toMatchObject({ status: 200, data: { command_name: 'work', command_params: { steps: 3 }, command_status: 'RUNNING', command_error: null } });
    const path = `/v1/commands/${started.data.id}`;
    expect(await call('GET', path)).toMatchObject({ status: 200, data: { command_status: 'RUNNING', command_result: { steps_done: 0, steps_total: 3 } } });
    const waiting = call('GET', `${path}?wait=true`);
    work.finish({ done: true });
    expect((await waiting).data).toEqual({ id: started.data.id, command_name: 'work', command_params: { steps: 3 }, command_status: 'SUCCEEDED', command_error: null, command_result: { done: true } });
    expect((await call('GET', '/v1/commands/')).data.commands).toHaveLength(1);
    expect(ended).toBe(1);
  });

  test('can be waited for in the request that starts them', async () => {
    const waiting = start(undefined, 'true');
    while ((await call('GET', '/v1/commands')).data.commands.length === 0);
    work.finish({ done: true });
    expect((await waiting).data).toMatchObject({ command_status: 'SUCCEEDED' });
  });

  test('report their failure with type, code and message', async () => {
    const { data } = await start();
    work.fail(new OperationFailedError('the disk is on fire', {}, new Error('smoke')));
    expect((await call('GET', `/v1/commands/${data.id}?wait=true`)).data).toMatchObject({ command_status: 'FAILED', command_result: null, command_error: { type: 'OperationFailed', code: 500, message: 'the disk is on fire', details: 'smoke' } });
    expect(ended).toBe(1);
  });

  test('run one at a time: another one is refused with 409 until the first has ended', async () => {
    const first = await start();
    expect(await start()).toMatchObject({ status: 409, data: { message: 'Agent is busy', code: 409 } });
    work.finish({ done: true });
    await call('GET', `/v1/commands/${first.data.id}?wait=true`);
    expect((await start()).status).toBe(200);
  });

  test('are stopped by DELETE, which answers once they have let go; stopping again changes nothing', async () => {
    const { data } = await start();
    expect((await call('DELETE', `/v1/commands/${data.id}`)).status).toBe(204);
    expect(work.released).toBe(1);
    expect((await call('GET', `/v1/commands/${data.id}`)).data).toMatchObject({ command_status: 'FAILED', command_error: { message: 'the command was stopped on request' } });
    expect((await call('DELETE', `/v1/commands/${data.id}`)).status).toBe(204);
  });

  test('that are short and harmless run beside another one, and neither the list nor the heartbeat knows of them', async () => {
    const { data } = await start();
    expect((await start({ name: 'test.look' }, 'true')).data).toMatchObject({ command_name: 'look', command_status: 'SUCCEEDED', command_result: { seen: 'all' } });
    const looked = await start({ name: 'test.look', params: { broken: true } });
    expect((await call('GET', `/v1/commands/${looked.data.id}?wait=true`)).data).toMatchObject({ command_status: 'FAILED', command_error: { message: 'it is dark' } });
    expect((await call('DELETE', `/v1/commands/${looked.data.id}`)).status).toBe(204);
    expect((await call('GET', '/v1/commands')).data.commands).toMatchObject([{ id: data.id, command_status: 'RUNNING' }]);
    expect(ended).toBe(0);
    expect(runDirectory.read('commands.json')).not.toContain('look');
  });

  test('tell since when they should have ended, once they were stopped', async () => {
    expect(queue.underWay).toBeNull();
    const { data } = await start();
    expect(queue.underWay).toEqual({ name: 'test.work', overForMs: null });
    const stopping = call('DELETE', `/v1/commands/${data.id}`);
    await until('the command is told to end', () => queue.underWay === null || queue.underWay.overForMs !== null);
    await stopping;
    expect(queue.underWay).toBeNull();
  });

  test('never show secrets', async () => {
    const { data } = await start({ name: 'test.work', params: { steps: 1, password: SECRET } });
    expect(data.command_params).toEqual({ steps: 1, password: '******' });
    expect(JSON.stringify((await call('GET', '/v1/commands')).data)).not.toContain(SECRET);
    expect(runDirectory.read('commands.json')).not.toContain(SECRET);
  });
});

describe('a request is refused', () => {
  test.each([
    ['POST', '/v1/commands/', null],
    ['POST', '/v1/commands/', 'wrong'],
    ['DELETE', '/v1/commands/some-id', null],
    ['DELETE', '/v1/commands/some-id', `${TOKEN}x`],
  ])('%s %s with token %j: 401, and nothing runs', async (method, path, given) => {
    expect(await call(method, path, { token: given, body: { name: 'test.work', params: { steps: 1 } } })).toMatchObject({ status: 401, data: { type: 'Unauthorized' } });
    expect((await call('GET', '/v1/commands')).data.commands).toEqual([]);
  });

  test('with any token as long as the agent has none', async () => {
    token = null;
    expect((await start()).status).toBe(401);
  });

  test.each([
    [404, { name: 'standby.work', params: {} }, 'Extension standby could not be found; there are test.'],
    [404, { name: 'constructor.work', params: {} }, 'Extension constructor could not be found'],
    [400, { name: 'test.rest', params: {} }, 'Unknown command rest of extension test; there are look, work.'],
    [400, { name: 'test.to_string', params: {} }, 'Unknown command'],
    [400, { name: 'test.work', params: { steps: 'three' } }, 'Invalid params: "steps": Invalid input: expected number, received string'],
    [400, { name: 'test.work', params: { steps: 3, colour: 'red' } }, 'Unrecognized key: "colour"'],
    [400, { name: 'work', params: {} }, 'expected "extension.command"'],
    [400, { params: {} }, 'Invalid command: "name"'],
    [400, '{"name": ', 'cannot be read as JSON'],
  ])('%i for %j', async (status, body, message) => {
    const reply = await start(body);
    expect(reply).toMatchObject({ status, data: { code: status } });
    expect(reply.data.message).toContain(message);
  });

  test('for a bad parameter without repeating its value', async () => {
    const reply = await start({ name: 'test.work', params: { steps: 1, password: { nested: SECRET } } });
    expect(reply.status).toBe(400);
    expect(JSON.stringify(reply.data)).not.toContain(SECRET);
  });

  test('for an unknown command id with 404', async () => {
    expect((await call('GET', '/v1/commands/none')).status).toBe(404);
    expect((await call('DELETE', '/v1/commands/none')).status).toBe(404);
  });

  test('for an unknown path with 404 and a wrong method with 405', async () => {
    expect((await call('GET', '/v2/commands')).status).toBe(404);
    expect(await call('PUT', '/v1/commands/')).toMatchObject({ status: 405, allow: 'GET, POST' });
  });
});

test('status needs no token', async () => {
  expect(await call('GET', '/v1/status', { token: null })).toMatchObject({ status: 200, data: { started_at: expect.any(Number), version: expect.any(String) } });
});

describe('a restarted agent', () => {
  test('reports the command that was running as FAILED, and earlier ones as they ended', async () => {
    const log = createLogger('agent', 'silent');
    const done = await start();
    work.finish({ done: true });
    await call('GET', `/v1/commands/${done.data.id}?wait=true`);
    const lost = await start();
    const queue = new CommandQueue({}, new CommandJournal(runDirectory), log, () => undefined);
    expect(queue.report(done.data.id)).toMatchObject({ command_status: 'SUCCEEDED', command_result: { done: true } });
    expect(queue.report(lost.data.id)).toMatchObject({ command_name: 'work', command_status: 'FAILED', command_error: { type: 'AgentRestarted', message: expect.stringMatching(/^the agent restarted while test\.work was running/) } });
    work.finish({ done: true });
  });
});
