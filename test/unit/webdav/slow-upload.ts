import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { authorizationOf, pathOf, until, type Guest, type ServedShare } from './served-share.ts';

/** A PUT whose body is sent by hand. */
export class SlowUpload {
  /** Resolved with the status, or with null when the connection is cut without one. */
  readonly status: Promise<number | null>;
  readonly #request: ClientRequest;

  private constructor(request: ClientRequest) {
    this.#request = request;
    this.status = new Promise((resolve) => {
      request.on('response', (response: IncomingMessage) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', () => resolve(null));
      request.on('close', () => resolve(null));
    });
  }

  /** Starts a PUT and sends a first piece; resolved once the share has a file for it, and has taken as much. @param lengthBytes undefined: chunked. */
  static async start(served: ServedShare, guest: Guest, name: string, first: string | Buffer, lengthBytes?: number): Promise<SlowUpload> {
    const headers = { Authorization: authorizationOf(guest), ...(lengthBytes === undefined ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': lengthBytes }) };
    const before = await temporaryFiles(served, guest);
    const upload = new SlowUpload(httpRequest({ host: '127.0.0.1', port: served.port, method: 'PUT', path: pathOf(guest, name), agent: false, headers }));
    await upload.send(first);
    await until(async () => (await temporaryFiles(served, guest)).some((file) => !before.includes(file)) && served.share.bytesReceived(guest.uuid) >= Buffer.byteLength(first));
    return upload;
  }

  /** Resolved when the kernel has taken it. */
  async send(piece: string | Buffer): Promise<void> {
    if (!this.#request.write(piece)) await once(this.#request, 'drain');
  }

  end(): Promise<number | null> {
    this.#request.end();
    return this.status;
  }

  /** As a machine that loses its power. */
  abort(): void {
    this.#request.destroy();
  }
}

/** What is half-done. */
const temporaryFiles = async (served: ServedShare, guest: Guest): Promise<string[]> => (await readdir(join(served.directory, guest.uuid))).filter((name) => name.startsWith('.upload-'));
