import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { generate } from 'selfsigned';
import { DISK_STREAM_TYPE, diskStreamLength, encodeDiskStream, type Extent } from '../../../protocol/disk-stream.ts';

const BLOCK_BYTES = 4096;
export const ACCOUNT = { username: 'node', password: 'secret of this deployment' };

/** What a request gets: everything; a stream with its last byte (of the digest) flipped; one cut or held after so many bytes; a status. */
export type Answer = { kind: 'whole' } | { kind: 'flipped' } | { kind: 'cut' | 'held'; afterBytes: number } | { kind: 'status'; status: number };

/** A conductor's listener as far as an agent fetches images from it: real https with a certificate of its own, Basic authentication, a disk stream of a real file. */
export class ImageServer {
  readonly ca: string;
  /** For the next requests, in order; then everything. */
  readonly answers: Answer[] = [];
  requests = 0;
  /** Whether a `held` answer has been sent as far as it goes. */
  holding = false;
  /** Called before anything is answered. */
  onRequest: () => Promise<void> = () => Promise.resolve();
  readonly #server: Server;
  #image = '';

  private constructor(key: string, cert: string) {
    this.ca = cert;
    this.#server = createServer({ key, cert }, (request, response) => {
      // a client that goes away ends the pipeline with an error: that is what some tests are about
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<ImageServer> {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'conductor' }], { keyType: 'ec', algorithm: 'sha256' });
    const server = new ImageServer(key, cert);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/images/1`;
  }

  serve(image: string): void {
    this.#image = image;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    await this.onRequest();
    const expected = `Basic ${Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')}`;
    const answer: Answer = request.headers.authorization === expected ? (this.answers.shift() ?? { kind: 'whole' }) : { kind: 'status', status: 401 };
    if (answer.kind === 'status') {
      response.writeHead(answer.status).end();
      return;
    }
    const extents = await findExtents(this.#image);
    response.writeHead(200, { 'Content-Type': DISK_STREAM_TYPE, 'Content-Length': diskStreamLength(extents) });
    await pipeline(Readable.from(change(streamOf(this.#image, extents), answer, diskStreamLength(extents), response, () => (this.holding = true))), response);
  }
}

/** The disk stream of a file. */
export async function* streamOf(image: string, extents: readonly Extent[]): AsyncGenerator<Buffer, void, undefined> {
  yield* encodeDiskStream((await stat(image)).size, extents, ({ offsetBytes, lengthBytes }) => createReadStream(image, { start: offsetBytes, end: offsetBytes + lengthBytes - 1 }) as AsyncIterable<Buffer>);
}

async function* change(stream: AsyncIterable<Buffer>, answer: Answer, length: number, response: ServerResponse, onHold: () => void): AsyncGenerator<Buffer, void, undefined> {
  let sent = 0;
  for await (const chunk of stream) {
    if ('afterBytes' in answer && sent + chunk.length >= answer.afterBytes) {
      yield chunk.subarray(0, answer.afterBytes - sent);
      if (answer.kind === 'held') {
        onHold();
        await once(response, 'close');
      }
      response.destroy();
      return;
    }
    sent += chunk.length;
    if (answer.kind === 'flipped' && sent === length) chunk[chunk.length - 1]! ^= 1;
    yield chunk;
  }
}

/** Blocks of a file that are not zeros, joined. */
export async function findExtents(image: string): Promise<Extent[]> {
  const extents: Extent[] = [];
  const zeros = Buffer.alloc(BLOCK_BYTES);
  let position = 0;
  for await (const chunk of createReadStream(image, { highWaterMark: 256 * BLOCK_BYTES }) as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += BLOCK_BYTES) {
      const block = chunk.subarray(at, at + BLOCK_BYTES);
      if (block.equals(zeros.subarray(0, block.length))) continue;
      const last = extents.at(-1);
      if (last && last.offsetBytes + last.lengthBytes === position + at) last.lengthBytes += block.length;
      else extents.push({ offsetBytes: position + at, lengthBytes: block.length });
    }
    position += chunk.length;
  }
  return extents;
}
