import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { generate } from 'selfsigned';

/** A real https server with a certificate of its own that stores what is PUT, in memory, behind a user name and a password. */
export class PutServer {
  readonly stored = new Map<string, Buffer>();
  readonly authorization = `Basic ${Buffer.from('metalshot:correct horse').toString('base64')}`;
  readonly certificate: string;
  /** Methods and paths, in order. */
  readonly seen: string[] = [];
  /** An upload is written under its name from its first byte on, as careless servers do. */
  keepsHalves = false;
  /** Nothing may be read back. */
  refusesReading = false;
  /** Tells the digest of what it stores (RFC 9530). */
  statesDigest = false;
  /** Changes a byte of everything. */
  damages = false;
  /** Answers instead of storing. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  readonly #server: Server;

  private constructor(certificate: string, key: string) {
    this.certificate = certificate;
    this.#server = createServer({ cert: certificate, key }, (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<PutServer> {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'store' }], { extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }] });
    const server = new PutServer(cert, key);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.seen.push(`${method} ${url}`);
    if (request.headers.authorization !== this.authorization) return void response.writeHead(401).end();
    if (this.intercept?.(request, response) === true) return;
    const found = this.stored.get(url);
    if (method === 'PUT') return this.#store(request, response, url);
    if (method === 'DELETE') return void response.writeHead(this.stored.delete(url) ? 204 : 404).end();
    if (!found) return void response.writeHead(404).end();
    if (method === 'GET' && this.refusesReading) return void response.writeHead(403).end();
    const digest = this.statesDigest && request.headers['want-repr-digest'] !== undefined ? { 'Repr-Digest': `sha-512=:${createHash('sha512').update(found).digest('base64')}:` } : {};
    response.writeHead(200, { 'Content-Length': found.length, ETag: `"${createHash('md5').update(found).digest('hex')}"`, ...digest }).end(method === 'HEAD' ? undefined : found);
  }

  async #store(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    if (request.headers['if-none-match'] === '*' && this.stored.has(url)) return void response.writeHead(412).end();
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) {
        chunks.push(chunk as Buffer);
        if (this.keepsHalves && (chunks.length === 1 || this.stored.has(url))) this.stored.set(url, chunk as Buffer); // as good as any half; once deleted it stays so
      }
    } catch {
      return; // the sender is gone
    }
    const body = Buffer.concat(chunks);
    if (this.damages) body[0] = (body[0] ?? 0) ^ 1;
    this.stored.set(url, body);
    response.writeHead(201).end();
  }
}
