import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Writable } from 'node:stream';
import express, { type NextFunction, type Request, type Response } from 'express';
import { run } from '../../../cli/run.ts';

export interface ReceivedRequest {
  method: string;
  /** Path and query as they were sent. */
  path: string;
  version: string | undefined;
  headers: Record<string, string | string[] | undefined>;
  /** Parsed JSON, undefined without a body; other types as a Buffer. */
  body: unknown;
}

export type Answer = { status?: number; headers?: Record<string, string>; body?: unknown; destroy?: boolean; hang?: boolean };
export type Answerer = (request: ReceivedRequest, response: Response) => Answer | Promise<Answer>;

/** A real HTTP server on a port of its own that keeps what it receives and answers as the test says. */
export class ServiceOfTests {
  readonly received: ReceivedRequest[] = [];
  readonly url: string;
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(answer: Answerer): Promise<ServiceOfTests> {
    const app = express();
    app.set('etag', false);
    app.use(express.json({ strict: false, limit: '2mb' }), express.raw({ type: 'application/octet-stream', limit: '64mb' }));
    const server = createServer(app);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const service = new ServiceOfTests(server);
    app.use(async (request: Request, response: Response) => {
      const received: ReceivedRequest = {
        method: request.method,
        path: request.originalUrl,
        version: request.get('X-OpenStack-Ironic-API-Version'),
        headers: request.headers,
        body: request.body as unknown,
      };
      service.received.push(received);
      const { status = 200, headers = {}, body, destroy, hang } = await answer(received, response);
      if (hang || response.headersSent) return;
      if (destroy) {
        request.socket.destroy();
        return;
      }
      response.status(status).set(headers);
      if (body === undefined) response.end();
      else if (typeof body === 'string' || Buffer.isBuffer(body)) response.send(body);
      else response.json(body);
    });
    // An upload that is cut on purpose ends in express's parser: nothing to answer then.
    app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => void response.destroy());
    return service;
  }

  /** `METHOD path` of each request. */
  get lines(): string[] {
    return this.received.map(({ method, path }) => `${method} ${path}`);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    if (this.server.listening) await once(this.server, 'close');
  }
}

/** Collects what is written; with columns it looks like a terminal of that width. */
export class Screen extends Writable {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
  readonly chunks: Buffer[] = [];

  constructor(columns?: number) {
    super();
    this.isTTY = columns !== undefined;
    this.columns = columns;
  }

  override _write(chunk: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    done();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }
}

export interface CliResult {
  exitCode: number;
  stdout: string;
  stderr: string;
  bytes: Buffer;
}

export interface CliOptions {
  env?: Record<string, string>;
  /** Width of the terminal behind stdout / stderr; absent: no terminal. */
  stdoutColumns?: number;
  stderrColumns?: number;
  interrupt?: AbortSignal;
}

/** One run of the command line in this process. Retries do not pause unless the arguments say so. */
export async function cli(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const stdout = new Screen(options.stdoutColumns);
  const stderr = new Screen(options.stderrColumns);
  const exitCode = await run(['--retry-interval', '0', ...argv], options.env ?? {}, { stdout, stderr }, options.interrupt);
  return { exitCode, stdout: stdout.text, stderr: stderr.text, bytes: Buffer.concat(stdout.chunks) };
}

/** An error as Ironic's controllers send it. */
export const fault = (status: number, faultstring: string): Answer => ({ status, body: { error_message: JSON.stringify({ faultcode: 'Client', faultstring, debuginfo: null }) } });

/** A node as Ironic shows it, in the parts that matter here. */
export const nodeInState = (provision_state: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  uuid: '5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01',
  name: 'gold-1',
  provision_state,
  target_provision_state: ['active', 'manageable', 'available', 'enroll', 'snapshot failed'].includes(provision_state) ? null : 'active',
  power_state: 'power on',
  maintenance: false,
  last_error: null,
  driver_internal_info: {},
  links: [{ href: 'http://127.0.0.1/v1/nodes/5c2b1f04-31d2-4f25-9d5f-0d3e0f7f7a01', rel: 'self' }],
  ...more,
});

export const VERSIONS = (minor: number): Record<string, string> => ({
  'X-OpenStack-Ironic-API-Minimum-Version': '1.1',
  'X-OpenStack-Ironic-API-Maximum-Version': `1.${minor}`,
});
