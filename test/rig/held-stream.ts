import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IMAGE_SIZE_HEADER } from '../../protocol/image-stream.ts';

/** A proxy in front of a provisioning listener without TLS, that passes a part of each image stream and holds the rest back: there a test can meet it, however fast the machine is. */
export class HeldStream {
  readonly #server: Server;
  readonly #targetPort: number;
  #part: number;
  #streams: (() => void)[] = [];
  /** Streams that stand still; each has passed its part of the image, and its connections are open. */
  heldStreams = 0;

  private constructor(targetPort: number, part: number) {
    this.#targetPort = targetPort;
    this.#part = part;
    const pass = (request: IncomingMessage, response: ServerResponse): void => this.#pass(request, response);
    this.#server = createServer(pass).on('checkContinue', pass);
  }

  /** @param part of an image's bytes that is let through, 1 for all of it. */
  static async to(targetPort: number, part: number): Promise<HeldStream> {
    const stream = new HeldStream(targetPort, part);
    stream.#server.listen(0, '127.0.0.1');
    await once(stream.#server, 'listening');
    return stream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** For the streams that begin from now on. */
  passes(part: number): void {
    this.#part = part;
  }

  /** The connections of streams end; what was held back is lost. */
  drop(): void {
    for (const end of this.#streams.splice(0)) end();
    this.heldStreams = 0;
  }

  async close(): Promise<void> {
    this.drop();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const size = request.headers[IMAGE_SIZE_HEADER.toLowerCase()];
    if (request.headers.expect !== undefined) response.writeContinue();
    const onward = httpRequest({ host: '127.0.0.1', port: this.#targetPort, method: request.method, path: request.url, headers: request.headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    if (size === undefined || this.#part === 1) {
      request.on('end', () => onward.addTrailers(request.trailers));
      request.pipe(onward);
      return;
    }
    this.#streams.push(() => {
      onward.destroy();
      request.destroy();
    });
    let leftBytes = Math.ceil(Number(size) * this.#part);
    request.on('error', () => onward.destroy()); // its sender is gone: what a held stream is for
    request.on('data', (data: Buffer) => {
      const piece = data.subarray(0, leftBytes);
      leftBytes -= piece.length;
      const isTaken = onward.write(piece);
      if (leftBytes === 0) {
        this.heldStreams += 1;
        request.pause();
      } else if (!isTaken) {
        request.pause();
        onward.once('drain', () => request.resume());
      }
    });
  }
}
