import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { InvalidParameterError } from '../protocol/errors.ts';
import { takeOriginForm } from './request-target.ts';

export interface ListenerOptions {
  /** Name of its configuration section, for errors. */
  name: string;
  host: string;
  port: number;
  /** PEM; absent: plain http. */
  tls: { key: string; cert: string } | null;
  /** For a listener that anybody may reach: what a peer can hold, and for how long it may be silent (also one that takes no byte of its reply). */
  limits?: { connections: number; idleTimeoutMs: number };
}

/** A bound socket. It answers once its application is known: URLs in replies may need the port. */
export class Listener {
  readonly url: string;
  readonly #server: Server;
  #application: RequestListener | null = null;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
    server.on('request', (request, response) => {
      takeOriginForm(request);
      if (this.#application) this.#application(request, response);
      else response.writeHead(503, { 'Retry-After': '1', 'Content-Type': 'text/plain' }).end('The conductor is starting.\n');
    });
  }

  /** @throws InvalidParameterError when the address can not be bound, naming the configuration keys. */
  static async bind(options: ListenerOptions): Promise<Listener> {
    const server = options.tls ? (createHttpsServer(options.tls) as unknown as Server) : createHttpServer();
    server.requestTimeout = 0; // an upload to the share takes as long as its disk; its own idle limit ends it
    if (options.limits) {
      server.maxConnections = options.limits.connections;
      server.headersTimeout = options.limits.idleTimeoutMs;
      server.requestTimeout = options.limits.idleTimeoutMs; // for a request to arrive; its reply takes as long as bytes flow
      server.timeout = options.limits.idleTimeoutMs;
    }
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const reason = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message;
        reject(new InvalidParameterError(`${options.name}.host, ${options.name}.port: cannot listen on ${options.host}:${options.port}: ${reason}`, {}, error));
      });
      server.listen(options.port, options.host, resolve);
    });
    const { port } = server.address() as AddressInfo;
    const host = options.host.includes(':') ? `[${options.host}]` : options.host;
    return new Listener(server, `${options.tls ? 'https' : 'http'}://${host}:${port}`);
  }

  serve(application: RequestListener): void {
    this.#application = application;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}
