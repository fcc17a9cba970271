import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAgentClient } from '../../../conductor/agent-client.ts';
import { ensureCertificate, type ServerCertificate } from '../../../conductor/certificates.ts';
import type { NodeRow } from '../../../conductor/db/rows.ts';
import type { CommandReport } from '../../../protocol/agent-api.ts';
import { until } from '../../rig/until.ts';
import { makeNode } from '../../contract/power/driver-task.ts';

const TOKEN = 'token-of-the-agent-0123456789-0123456789';
const PASSWORD = 'password-of-the-share';
const COMMAND = 'snapshot.stream_image';
const signal = new AbortController().signal;
type Reply = { status: number; body?: unknown } | 'hang' | 'drop' | 'done, then drop';

let directory: string;
let certificate: ServerCertificate;
let other: ServerCertificate;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-agent-'));
  certificate = await ensureCertificate(directory, 'agent', ['agent.invalid']); // agents are reached by address: the pin counts, not the name
  other = await ensureCertificate(directory, 'other', ['127.0.0.1']);
});
afterAll(() => rm(directory, { recursive: true }));

/** A real https server that speaks the commands API; replies can be ordered. */
class Agent {
  readonly commands: CommandReport[] = [];
  readonly requests: string[] = [];
  readonly ordered: { method: string; reply: Reply }[] = [];
  readonly #server: Server;

  constructor(pair: ServerCertificate) {
    this.#server = createServer(pair, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const method = request.method ?? '';
        this.requests.push(`${method} ${request.url ?? ''}`);
        const at = this.ordered.findIndex((each) => each.method === method);
        const [order] = at < 0 ? [] : this.ordered.splice(at, 1);
        const usual = order === undefined || order.reply === 'done, then drop' ? this.#answer(method, new URL(request.url ?? '', 'https://agent'), Buffer.concat(chunks).toString()) : undefined;
        const reply = order?.reply ?? usual;
        if (reply === 'hang') return;
        if (reply === 'drop' || reply === 'done, then drop' || reply === undefined) return void request.socket.destroy();
        response.writeHead(reply.status, { 'Content-Type': 'application/json' }).end(reply.body === undefined ? undefined : typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
      });
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
  node(more: Partial<NodeRow> = {}): NodeRow {
    return makeNode({ agentUrl: `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`, agentToken: TOKEN, agentVerifyCa: certificate.cert, ...more });
  }
  count(method: string): number {
    return this.requests.filter((request) => request.startsWith(method)).length;
  }

  #answer(method: string, url: URL, body: string): { status: number; body?: unknown } {
    if (url.searchParams.get('agent_token') !== TOKEN) return { status: 401, body: { message: `Invalid token ${url.searchParams.get('agent_token') ?? ''}.` } };
    const id = url.pathname.replace('/v1/commands/', '');
    if (method === 'POST') {
      if (url.searchParams.get('wait') === 'true') return { status: 200, body: report({ command_name: 'collect_system_logs', command_status: 'SUCCEEDED', command_result: { system_logs: 'QQ==' } }) };
      if (url.searchParams.get('wait') !== 'false') return { status: 400 };
      if (this.commands.some((command) => command.command_status === 'RUNNING')) return { status: 409, body: { type: 'AgentIsBusy', code: 409, message: 'Agent is busy', details: 'executing command' } };
      const { name, params } = JSON.parse(body) as { name: string; params: CommandReport['command_params'] };
      if (name.startsWith('nope')) return { status: 404, body: { message: `Unknown extension; params ${JSON.stringify(params)}` } };
      const made = report({ id: `c${this.commands.length + 1}`, command_name: name.split('.')[1] ?? '' });
      this.commands.push(made);
      return { status: 200, body: made };
    }
    if (id === '') return { status: 200, body: { commands: this.commands } };
    const command = this.commands.find((each) => each.id === decodeURIComponent(id));
    if (!command) return { status: 404, body: { message: 'unknown command' } };
    if (method === 'GET') return { status: 200, body: command };
    command.command_status = 'FAILED';
    return { status: 204 };
  }
}

const report = (given: Partial<CommandReport> = {}): CommandReport => ({ id: 'c1', command_name: 'stream_image', command_status: 'RUNNING', command_error: null, command_result: null, ...given });

const client = createAgentClient({ timeoutMs: 5_000, attempts: 3, retryPauseMs: 1 });
const params = { url: 'https://conductor/share', password: PASSWORD };
let agent: Agent;
beforeEach(async () => {
  agent = await new Agent(certificate).start();
});
afterEach(() => agent.stop());

describe('a command that is waited for', () => {
  const execute = (): Promise<CommandReport> => client.execute(agent.node(), 'log.collect_system_logs', {}, signal);

  test('is asked for and answered in one request', async () => {
    expect(await execute()).toMatchObject({ command_status: 'SUCCEEDED', command_result: { system_logs: 'QQ==' } });
    expect(agent.requests).toEqual([`POST /v1/commands/?wait=true&agent_token=${TOKEN}`]);
  });

  test.each<[string, Reply, RegExp]>([
    ['that the agent does not know', { status: 404, body: { message: 'Extension log could not be found' } }, /refuses log\.collect_system_logs: it answered 404 \(Extension log could not be found\)/],
    ['that failed', { status: 200, body: report({ command_status: 'FAILED', command_error: { type: 't', code: 500, message: 'no space', details: '' } }) }, /ended as FAILED: no space/],
    ['that has not ended', { status: 200, body: report() }, /ended as RUNNING/],
    ['whose answer is lost', 'drop', /does not answer/],
  ])('%s fails without another try', async (_case, reply, message) => {
    agent.ordered.push({ method: 'POST', reply });
    await expect(execute()).rejects.toThrow(message);
    expect(agent.requests).toHaveLength(1);
  });
});

describe('a command', () => {
  test('is sent once, over the pinned certificate, and its report comes back', async () => {
    expect(await client.start(agent.node(), COMMAND, params, signal)).toMatchObject({ id: 'c1', command_name: 'stream_image', command_status: 'RUNNING' });
    expect(agent.requests).toEqual([`POST /v1/commands/?wait=false&agent_token=${TOKEN}`]);
  });

  test('whose reply was lost is adopted, not sent twice', async () => {
    agent.ordered.push({ method: 'POST', reply: 'done, then drop' });
    expect(await client.start(agent.node(), COMMAND, params, signal)).toMatchObject({ id: 'c1', command_status: 'RUNNING' });
    expect([agent.count('POST'), agent.count('GET')]).toEqual([1, 1]);
    expect(agent.commands).toHaveLength(1);
  });

  test('whose reply never comes is adopted after the deadline', async () => {
    agent.ordered.push({ method: 'POST', reply: 'hang' });
    agent.commands.push(report({ id: 'hung' }));
    expect(await createAgentClient({ timeoutMs: 300, attempts: 3, retryPauseMs: 1 }).start(agent.node(), COMMAND, params, signal)).toMatchObject({ id: 'hung' });
  });

  test('that never reached the agent is sent again', async () => {
    agent.ordered.push({ method: 'POST', reply: 'drop' }, { method: 'POST', reply: { status: 503 } });
    expect(await client.start(agent.node(), COMMAND, params, signal)).toMatchObject({ id: 'c1' });
    expect(agent.count('POST')).toBe(3);
  });

  test('that runs already (an earlier conductor sent it) is adopted: the newest one that runs', async () => {
    agent.commands.push(report({ id: 'older' }), report({ id: 'runs' }), report({ id: 'ended', command_status: 'FAILED' }), report({ id: 'other', command_name: 'prepare_image' }));
    expect(await client.start(agent.node(), COMMAND, params, signal)).toMatchObject({ id: 'runs' });
  });

  test('fails when the agent is busy with something else, saying so', async () => {
    agent.commands.push(report({ command_name: 'prepare_image' }));
    await expect(client.start(agent.node(), COMMAND, params, signal)).rejects.toThrow(/does not start snapshot\.stream_image: it answered 409 \(Agent is busy: executing command\)/);
    expect(agent.count('POST')).toBe(3);
    expect(agent.commands).toHaveLength(1);
  });

  test('that the agent refuses fails at once with its words, without our secrets', async () => {
    const error = await client.start(agent.node(), 'nope.nope', params, signal).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toMatch(/refuses nope\.nope: it answered 404 \(Unknown extension/);
    expect(JSON.stringify([error, (error as Error).message, (error as Error).stack])).not.toContain(PASSWORD);
    expect(agent.count('POST')).toBe(1);
  });

  test('is stopped, and stopping it again or an unknown one is fine', async () => {
    const { id } = await client.start(agent.node(), COMMAND, params, signal);
    agent.ordered.push({ method: 'DELETE', reply: 'drop' });
    await client.stop(agent.node(), id, signal);
    expect(agent.commands[0]?.command_status).toBe('FAILED');
    await client.stop(agent.node(), id, signal);
    await client.stop(agent.node(), 'never/was', signal);
    expect(agent.requests.at(-1)).toContain('DELETE /v1/commands/never%2Fwas?');
  });

  test('that can not be stopped is an error', async () => {
    agent.ordered.push({ method: 'DELETE', reply: { status: 405 } });
    await expect(client.stop(agent.node(), 'c1', signal)).rejects.toThrow(/does not stop command c1: it answered 405/);
  });
});

describe('the state of a command', () => {
  test('comes with progress, result and error as the agent reports them', async () => {
    const error = { type: 'CommandExecutionError', code: 500, message: 'qemu-img failed', details: 'exit code 1' };
    agent.commands.push(report({ id: 'a', command_result: { phase: 'converting', bytes_done: 5 } }), report({ id: 'b', command_status: 'FAILED', command_error: error }));
    expect(await client.status(agent.node(), 'a', signal)).toMatchObject({ command_status: 'RUNNING', command_result: { phase: 'converting', bytes_done: 5 }, command_error: null });
    expect(await client.status(agent.node(), 'b', signal)).toMatchObject({ command_status: 'FAILED', command_error: error });
  });

  test('is null for a command that the agent does not know', async () => {
    expect(await client.status(agent.node(), 'nothing', signal)).toBeNull();
  });

  test('is asked again after passing troubles, three times in all', async () => {
    agent.commands.push(report({ id: 'a' }));
    agent.ordered.push({ method: 'GET', reply: 'drop' }, { method: 'GET', reply: { status: 500 } });
    expect(await client.status(agent.node(), 'a', signal)).toMatchObject({ id: 'a' });
    agent.ordered.push(...Array.from({ length: 3 }, () => ({ method: 'GET', reply: 'drop' as const })));
    await expect(client.status(agent.node(), 'a', signal)).rejects.toThrow(/The agent at https:\/\/127\.0\.0\.1:\d+ does not answer GET \/v1\/commands\/a: ECONNRESET/);
  });

  test.each([
    ['no JSON', '<html>hello</html>', /the answer: /],
    ['an empty answer', '', /the answer: /],
    ['a state that does not exist', { ...report(), command_status: 'SLEEPING' }, /command_status: /],
    ['a result that is no object', { ...report(), command_result: 7 }, /command_result: /],
    ['a list instead of a report', [report()], /the answer: /],
  ])('that is garbage is an error: %s', async (_, body, problem) => {
    agent.ordered.push({ method: 'GET', reply: { status: 200, body } });
    const asked = client.status(agent.node(), 'a', signal);
    await expect(asked).rejects.toMatchObject({ code: 'OperationFailed' });
    await expect(asked).rejects.toThrow(problem);
    agent.ordered.push({ method: 'POST', reply: { status: 200, body } });
    await expect(client.start(agent.node(), COMMAND, params, signal)).rejects.toMatchObject({ code: 'OperationFailed' });
  });
});

describe('an agent', () => {
  test('with another certificate than that of its heartbeat is not spoken to', async () => {
    const impostor = await new Agent(other).start();
    try {
      for (const asked of [client.start(impostor.node(), COMMAND, params, signal), client.status(impostor.node(), 'a', signal)]) await expect(asked).rejects.toThrow(/shows another certificate than the one of its heartbeat/);
      expect(impostor.requests).toEqual([]);
    } finally {
      await impostor.stop();
    }
  });

  test('whose certificate nobody vouches for is not spoken to when it gave none', async () => {
    await expect(client.status(agent.node({ agentVerifyCa: null }), 'a', signal)).rejects.toThrow(/shows a certificate that is not trusted, and its heartbeat gave none/);
    expect(agent.requests).toEqual([]);
  });

  test('is not spoken to without TLS unless that is configured', async () => {
    await expect(client.status(agent.node({ agentUrl: 'http://127.0.0.1:1' }), 'a', signal)).rejects.toThrow(/not spoken to without TLS/);
    await expect(createAgentClient({ allowPlainHttp: true, attempts: 1 }).status(agent.node({ agentUrl: 'http://127.0.0.1:1' }), 'a', signal)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('that has not sent a heartbeat yet is not known', async () => {
    await expect(client.status(makeNode(), 'a', signal)).rejects.toThrow(/has not sent a heartbeat/);
  });

  test('that does not take our token is an error without the token', async () => {
    const wrong = 'another-token-that-is-wrong';
    const error = await client.start(agent.node({ agentToken: wrong }), COMMAND, params, signal).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toMatch(/answered 401 \(Invalid token \*{6}\.\); it does not take our token/);
    expect(JSON.stringify([error, (error as Error).stack])).not.toContain(wrong);
  });

  test('is let go of at once when the work is stopped', async () => {
    agent.ordered.push({ method: 'GET', reply: 'hang' });
    const stop = new AbortController();
    const asked = client.status(agent.node(), 'a', stop.signal);
    await until('the agent is asked', () => agent.count('GET') > 0, 10_000);
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('was stopped'), cause: { message: 'enough' } });
    expect(agent.count('GET')).toBe(1);
  });
});
