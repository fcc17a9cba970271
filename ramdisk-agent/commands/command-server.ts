import { timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { commandRequestSchema } from '../../protocol/agent-api.ts';
import { InvalidParameterError, MetalshotError, MethodNotAllowedError, NotFoundError, UnauthorizedError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import { AGENT_VERSION } from '../agent-version.ts';
import type { Certificate } from '../certificate.ts';
import { describeError } from './command.ts';
import type { CommandQueue } from './command-queue.ts';
import { describeIssues } from './define-command.ts';

const BODY_LIMIT = '1mb';

export interface CommandServerOptions {
  queue: CommandQueue;
  certificate: Certificate;
  /** The agent's token; null until the conductor has given one, and then nobody is let in. */
  token(): string | null;
  log: Logger;
}

/** The agent's commands API over https, as Ironic's agent serves it, and DELETE to stop a command. */
export class CommandServer {
  readonly #server: Server;

  constructor(options: CommandServerOptions) {
    this.#server = createServer({ key: options.certificate.key, cert: options.certificate.certificate }, createCommandApp(options));
  }

  /** Listens; port 0 for any free one. Returns the port. */
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function createCommandApp({ queue, token, log }: CommandServerOptions): Express {
  const startedAt = Date.now() / 1000;
  const app = express().disable('x-powered-by');

  const authenticate: RequestHandler = (request, _response, next) => {
    if (!matches(token(), request.query['agent_token'])) throw new UnauthorizedError('Token invalid.');
    next();
  };

  app.get('/v1/status', (_request, response) => void response.json({ started_at: startedAt, version: AGENT_VERSION }));

  app
    .route('/v1/commands')
    .get((_request, response) => void response.json({ commands: queue.reports() }))
    // clients of Ironic's agent do not always name the type of their JSON
    .post(authenticate, express.json({ limit: BODY_LIMIT, type: () => true }), async (request, response) => {
      const parsed = commandRequestSchema.safeParse(request.body);
      if (!parsed.success) throw new InvalidParameterError(`Invalid command: ${describeIssues(parsed.error)}`);
      const report = queue.start(parsed.data);
      response.json(isTrue(request.query['wait']) ? await queue.waitForEnd(report.id) : report);
    })
    .all(refuseMethod('GET', 'POST'));

  app
    .route('/v1/commands/:id')
    .get(async (request, response) => {
      const { id } = request.params;
      response.json(isTrue(request.query['wait']) ? await queue.waitForEnd(id) : queue.report(id));
    })
    .delete(authenticate, async (request, response) => {
      await queue.stop(request.params.id);
      response.status(204).end();
    })
    .all(refuseMethod('GET', 'DELETE'));

  app.use((request) => {
    throw new NotFoundError(`There is no ${request.path}.`);
  });

  const showError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
    // body-parser throws errors of its own for a body that cannot be read; they carry the status
    const unreadable = error instanceof Error && 'status' in error && typeof error.status === 'number' && error.status < 500;
    const known = unreadable && !(error instanceof MetalshotError) ? new InvalidParameterError(`The body cannot be read as JSON: ${error.message}`, {}, error) : error;
    const shown = describeError(known);
    if (shown.code >= 500) log.error({ method: request.method, path: request.path, err: error }, 'request failed');
    if (known instanceof MethodNotAllowedError) response.set('Allow', (known.data['allow'] as string[]).join(', '));
    response.status(shown.code).json(shown);
  };
  return app.use(showError);
}

const refuseMethod =
  (...allow: string[]): RequestHandler =>
  (request) => {
    throw new MethodNotAllowedError(request.method, allow);
  };

const isTrue = (value: unknown): boolean => value === 'true';

function matches(token: string | null, given: unknown): boolean {
  if (token === null || typeof given !== 'string') return false;
  const [expected, found] = [Buffer.from(token), Buffer.from(given)];
  return expected.length === found.length && timingSafeEqual(expected, found);
}
