import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import express from 'express';
import { pino } from 'pino';
import { Share, type ShareOptions } from '../../../webdav/share.ts';

export interface AccessLine {
  method: string;
  path: string;
  status: number;
  bytes: number;
  snapshot: string | null;
  ms: number;
  aborted?: boolean;
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** A snapshot that may write to the share, and its credential. */
export interface Guest {
  uuid: string;
  username: string;
  password: string;
  url: string;
}

export interface ServedShareOptions extends Partial<Pick<ShareOptions, 'directory' | 'reserveBytes' | 'uploadIdleTimeoutMs'>> {
  tls?: { key: string; cert: string };
  port?: number;
  /** In front of the share. */
  before?: express.RequestHandler;
}

/** What a share that starts again finds. */
interface Inheritance {
  directory: string;
  ownsDirectory: boolean;
  passwords: Map<string, string>;
}

/** A real share behind a real express server on an ephemeral port of 127.0.0.1. */
export class ServedShare {
  readonly lines: Record<string, unknown>[] = [];
  /** uuid by password: what the conductor's database is otherwise. */
  readonly passwords: Map<string, string>;
  readonly directory: string;
  readonly #ownsDirectory: boolean;
  readonly #sockets = new Set<Socket>();
  share!: Share;
  server!: Server;
  port = 0;
  origin = '';

  private constructor(directory: string, ownsDirectory: boolean, passwords: Map<string, string>) {
    this.directory = directory;
    this.#ownsDirectory = ownsDirectory;
    this.passwords = passwords;
  }

  static async start(options: ServedShareOptions = {}): Promise<ServedShare> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'metalshot-share-')));
    return await ServedShare.#startIn({ directory, ownsDirectory: options.directory === undefined, passwords: new Map() }, options);
  }

  static async #startIn({ directory, ownsDirectory, passwords }: Inheritance, options: ServedShareOptions): Promise<ServedShare> {
    const served = new ServedShare(directory, ownsDirectory, passwords);
    await served.#listen(options);
    return served;
  }

  /** A new share on the same port, spool and credentials; `meanwhile` runs while there is none. */
  async restart(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<ServedShare> {
    await this.crash();
    await meanwhile();
    return await ServedShare.#startIn({ directory: this.directory, ownsDirectory: this.#ownsDirectory, passwords: this.passwords }, { port: this.port });
  }

  async #listen({ reserveBytes = 0, uploadIdleTimeoutMs, tls, port = 0, before }: ServedShareOptions): Promise<void> {
    const app = express();
    this.server = tls ? createTlsServer(tls, app) : createServer(app);
    this.server.requestTimeout = 0; // as the conductor's listener has it: an image takes longer than five minutes
    this.server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => this.server.once('error', reject).listen(port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    this.origin = `${tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
    const keepLine = (line: Buffer, _encoding: BufferEncoding, done: () => void): void => {
      this.lines.push(JSON.parse(line.toString()) as Record<string, unknown>);
      done();
    };
    const log = pino({}, new Writable({ write: keepLine }));
    this.share = new Share({
      directory: this.directory,
      publicUrl: `${this.origin}/snapshots`,
      ...(tls ? { ca: tls.cert } : {}),
      credentials: { snapshotOf: async (username, password) => (this.passwords.get(password) === username ? username : null) },
      reserveBytes,
      log,
      ...(uploadIdleTimeoutMs === undefined ? {} : { uploadIdleTimeoutMs }),
    });
    if (before) app.use(before);
    app.use('/snapshots', this.share.handler);
  }

  /** A new snapshot with a directory of its own. */
  async invite(quotaBytes = 1024 ** 3): Promise<Guest> {
    const uuid = randomUUID();
    const password = randomBytes(16).toString('hex'); // one with a leading hyphen would be an option to litmus
    this.passwords.set(password, uuid);
    const { url } = await this.share.open(uuid, quotaBytes);
    return { uuid, username: uuid, password, url };
  }

  /** The access log so far. */
  get requests(): AccessLine[] {
    return this.lines.filter((line) => line['msg'] === 'share request') as unknown as AccessLine[];
  }

  /** Stops as a process that dies does: connections are reset, files stay as they are. */
  async crash(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async stop(): Promise<void> {
    await this.share.close();
    await this.crash();
    if (this.#ownsDirectory) await rm(this.directory, { recursive: true, force: true });
  }
}

/** One request with a path exactly as given: fetch and its like clean paths before they send them. */
export function send(
  served: ServedShare,
  method: string,
  path: string,
  options: { guest?: Guest | undefined; body?: string | Buffer; headers?: Record<string, string | number> } = {},
): Promise<Reply> {
  const { guest, body, headers = {} } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1',
      port: served.port,
      method,
      path,
      agent: false,
      headers: {
        ...(guest ? { Authorization: authorizationOf(guest) } : {}),
        ...(body === undefined || 'Transfer-Encoding' in headers ? {} : { 'Content-Length': Buffer.byteLength(body) }),
        ...headers,
      },
    });
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export const pathOf = (guest: Guest, name = ''): string => `/snapshots/${guest.uuid}/${name}`;

export const authorizationOf = (guest: Guest): string => `Basic ${Buffer.from(`${guest.username}:${guest.password}`).toString('base64')}`;

/** Waits for a condition, never for a time; the deadline only ends a test that has failed. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1_000} s: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
