import { setTimeout as sleep } from 'node:timers/promises';
import axios, { type AxiosResponse } from 'axios';
import { z } from 'zod';
import type { CommandReport } from '../protocol/agent-api.ts';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import { createHttpClient } from '../protocol/http-client.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { NodeRow } from './db/rows.ts';
import type { AgentClient } from './drivers/interfaces.ts';

export interface AgentClientOptions {
  /** Milliseconds for one request. */
  timeoutMs: number;
  attempts: number;
  /** Milliseconds before the second try; doubled for each further one. */
  retryPauseMs: number;
  /** Whether an agent may be spoken to without TLS. */
  allowPlainHttp: boolean;
}

const DEFAULTS: AgentClientOptions = { timeoutMs: 60_000, attempts: 3, retryPauseMs: 1_000, allowPlainHttp: false };

const jsonObject = z.record(z.string(), z.json()) as z.ZodType<JsonObject>;
const commandReportSchema = z.looseObject({
  id: z.string().min(1),
  command_name: z.string(),
  command_params: jsonObject.nullish().transform((params) => params ?? undefined),
  command_status: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED']),
  command_error: z
    .looseObject({ type: z.string().default(''), code: z.number().default(500), message: z.string().default(''), details: z.string().default('') })
    .nullish()
    .transform((error) => error ?? null),
  command_result: jsonObject.nullish().transform((result) => result ?? null),
});
const commandListSchema = z.looseObject({ commands: z.array(commandReportSchema) });

/** No answer, or a lost one: the agent may or may not have got the request. */
class LostReplyError extends OperationFailedError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super(message, { ...data, unreachable: true });
  }
}

/** The agents' commands API over https, each with the certificate that it gave at its heartbeat; tokens and passwords are in no error. */
export function createAgentClient(given: Partial<AgentClientOptions> = {}): AgentClient {
  const options = { ...DEFAULTS, ...given };

  return {
    async start(node, name, params, signal) {
      const agent = connect(node, options, secretsOf(params));
      const commandName = name.slice(name.indexOf('.') + 1);
      const attempt = async (): Promise<CommandReport> => {
        let reply: AxiosResponse<unknown>;
        try {
          reply = await agent.request('POST', '/v1/commands/', signal, { body: { name, params }, query: { wait: 'false' } });
        } catch (error) {
          if (!(error instanceof LostReplyError)) throw error;
          const adopted = await agent.running(commandName, signal);
          if (adopted) return adopted;
          throw error;
        }
        if (reply.status === 200 || reply.status === 201 || reply.status === 202) return agent.parse(commandReportSchema, reply, `the start of ${name}`);
        if (reply.status === 409 || reply.status >= 500) {
          const adopted = await agent.running(commandName, signal);
          if (adopted) return adopted;
          throw new LostReplyError(agent.describe(reply, `does not start ${name}`), { status: reply.status });
        }
        throw new OperationFailedError(agent.describe(reply, `refuses ${name}`), { status: reply.status });
      };
      return repeat(options, signal, attempt);
    },

    async status(node, commandId, signal) {
      const agent = connect(node, options);
      return repeat(options, signal, async () => {
        const reply = await agent.request('GET', `/v1/commands/${encodeURIComponent(commandId)}`, signal);
        if (reply.status === 404) return null;
        if (reply.status >= 500) throw new LostReplyError(agent.describe(reply, `does not tell about command ${commandId}`), { status: reply.status });
        if (reply.status !== 200) throw new OperationFailedError(agent.describe(reply, `does not tell about command ${commandId}`), { status: reply.status });
        return agent.parse(commandReportSchema, reply, `the state of command ${commandId}`);
      });
    },

    async execute(node, name, params, signal) {
      const agent = connect(node, options, secretsOf(params));
      const reply = await agent.request('POST', '/v1/commands/', signal, { body: { name, params }, query: { wait: 'true' } });
      if (reply.status < 200 || reply.status >= 300) throw new OperationFailedError(agent.describe(reply, `refuses ${name}`), { status: reply.status });
      const report = agent.parse(commandReportSchema, reply, `the end of ${name}`);
      if (report.command_status !== 'SUCCEEDED') throw new OperationFailedError(`The agent's command ${name} ended as ${report.command_status}: ${report.command_error?.message ?? 'no reason given'}`);
      return report;
    },

    async stop(node, commandId, signal) {
      const agent = connect(node, options);
      await repeat(options, signal, async () => {
        const reply = await agent.request('DELETE', `/v1/commands/${encodeURIComponent(commandId)}`, signal);
        if (reply.status === 404 || (reply.status >= 200 && reply.status < 300)) return;
        const ErrorClass = reply.status >= 500 ? LostReplyError : OperationFailedError;
        throw new ErrorClass(agent.describe(reply, `does not stop command ${commandId}`), { status: reply.status });
      });
    },
  };
}

interface Agent {
  /** Any status is returned. @throws LostReplyError; OperationFailedError when another try cannot help. */
  request(method: 'GET' | 'POST' | 'DELETE', path: string, signal: AbortSignal, more?: { body?: unknown; query?: Record<string, string> }): Promise<AxiosResponse<unknown>>;
  /** The newest command of this name that is RUNNING. */
  running(commandName: string, signal: AbortSignal): Promise<CommandReport | undefined>;
  parse<T>(schema: z.ZodType<T>, reply: AxiosResponse<unknown>, what: string): T;
  describe(reply: AxiosResponse<unknown>, what: string): string;
}

function connect(node: Readonly<NodeRow>, options: AgentClientOptions, secrets: readonly string[] = []): Agent {
  const { agentUrl, agentToken, agentVerifyCa } = node;
  if (agentUrl === null || agentToken === null) throw new OperationFailedError(`The agent of node ${node.uuid} is not known: it has not sent a heartbeat with its address yet`);
  const baseURL = agentUrl.replace(/\/+$/, '');
  if (!baseURL.startsWith('https://') && !options.allowPlainHttp) throw new OperationFailedError(`The agent at ${baseURL} is not spoken to without TLS: expected an https address`);
  const client = createHttpClient({ baseURL, timeoutMs: options.timeoutMs, ...(agentVerifyCa === null ? {} : { ca: agentVerifyCa, pinned: true }) });
  const hidden = [agentToken, ...secrets].filter((secret) => secret !== '');
  const redact = (text: string): string => hidden.reduce((redacted, secret) => redacted.replaceAll(secret, '******'), text);

  const agent: Agent = {
    async request(method, path, signal, { body, query } = {}) {
      const deadline = AbortSignal.timeout(options.timeoutMs);
      try {
        return await client.request<unknown>({ method, url: path, params: { ...query, agent_token: agentToken }, data: body, signal: AbortSignal.any([signal, deadline]) });
      } catch (error) {
        // the error of axios is not kept as the cause: it carries the token
        if (signal.aborted) throw new OperationFailedError(`The request to the agent at ${baseURL} was stopped`, {}, signal.reason);
        const code = axios.isAxiosError(error) ? (error.code ?? '') : '';
        if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ISSUER/.test(code)) throw new OperationFailedError(`The agent at ${baseURL} shows ${agentVerifyCa === null ? 'a certificate that is not trusted, and its heartbeat gave none' : 'another certificate than the one of its heartbeat'} (${code}); it is not spoken to`, { code });
        const reason = deadline.aborted ? `no answer within ${options.timeoutMs / 1_000} s` : redact(`${code} ${messageOf(error)}`.trim());
        throw new LostReplyError(`The agent at ${baseURL} does not answer ${method} ${path}: ${reason}`, { code });
      }
    },

    async running(commandName, signal) {
      const reply = await agent.request('GET', '/v1/commands/', signal);
      if (reply.status !== 200) throw new LostReplyError(agent.describe(reply, 'does not list its commands'), { status: reply.status });
      const { commands } = agent.parse(commandListSchema, reply, 'the list of commands');
      return commands.filter((command) => command.command_name === commandName && command.command_status === 'RUNNING').at(-1);
    },

    parse(schema, reply, what) {
      const parsed = schema.safeParse(reply.data);
      if (!parsed.success) throw new OperationFailedError(`The agent at ${baseURL} answered ${reply.status} for ${what} with something else than its protocol says: ${parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the answer'}: ${issue.message}`).join('; ')}`);
      return parsed.data;
    },

    describe: (reply, what) => redact(`The agent at ${baseURL} ${what}: it answered ${reply.status}${detailOf(reply.data)}${reply.status === 401 ? '; it does not take our token' : ''}`),
  };
  return agent;
}

/** Tries again after a lost reply. @throws the last LostReplyError, or anything else at once. */
async function repeat<T>(options: AgentClientOptions, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof LostReplyError) || tries >= options.attempts) throw error;
      try {
        await sleep(options.retryPauseMs * 2 ** (tries - 1), undefined, { signal });
      } catch {
        throw new OperationFailedError(`Stopped while waiting for another try: ${error.message}`, {}, signal.reason); // a pause can only end early by its signal
      }
    }
  }
}

/** What the agent says about an error, in either of the forms in use. */
function detailOf(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '';
  const { message, details, faultstring } = body as Record<string, unknown>;
  const said = [message, details, faultstring].filter((text): text is string => typeof text === 'string' && text !== '');
  return said.length === 0 ? '' : ` (${[...new Set(said)].join(': ').slice(0, 1_000)})`;
}

const secretsOf = (params: Record<string, unknown>): string[] =>
  Object.entries(params).flatMap(([name, value]) => (/password|secret|token|credential/i.test(name) && typeof value === 'string' ? [value] : []));
