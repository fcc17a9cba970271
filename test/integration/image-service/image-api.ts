import { once } from 'node:events';
import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { IMAGE_PATCH_TYPE, type Image } from '../../../protocol/image.ts';
import { until } from '../../rig/until.ts';

export interface Reply {
  status: number;
  headers: Readonly<Record<string, string | undefined>>;
  text: string;
  json: Record<string, unknown>;
}

const OCTETS = 'application/octet-stream';

/** The image API as plain requests, so that tests see what is on the wire. */
export class ImageApi {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async send(method: string, path: string, { body, headers = {} }: { body?: string | Buffer; headers?: Record<string, string> } = {}): Promise<Reply> {
    const response = await createHttpClient({ timeoutMs: 20_000 }).request<ArrayBuffer>({ method, url: this.url + path, data: body, headers: { Accept: '*/*', 'Content-Type': false as unknown as string, ...headers }, responseType: 'arraybuffer' });
    const text = Buffer.from(response.data).toString();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    return { status: response.status, headers: response.headers as Record<string, string>, text, json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} };
  }

  post(fields: unknown): Promise<Reply> {
    return this.send('POST', '/v2/images', { body: JSON.stringify(fields), headers: { 'Content-Type': 'application/json' } });
  }

  /** A queued raw image that is ready for its data. */
  async create(fields: Record<string, unknown> = {}): Promise<string> {
    const reply = await this.post({ disk_format: 'raw', container_format: 'bare', ...fields });
    if (reply.status !== 201) throw new Error(`expected 201, found ${reply.status}: ${reply.text}`);
    return reply.json.id as string;
  }

  async show(id: string): Promise<Image> {
    const reply = await this.send('GET', `/v2/images/${id}`);
    if (reply.status !== 200) throw new Error(`expected 200, found ${reply.status}: ${reply.text}`);
    return reply.json as Image;
  }

  patch(id: string, operations: unknown, type: string = IMAGE_PATCH_TYPE): Promise<Reply> {
    return this.send('PATCH', `/v2/images/${id}`, { body: JSON.stringify(operations), headers: { 'Content-Type': type } });
  }

  upload(id: string, data: string | Buffer, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('PUT', `/v2/images/${id}/file`, { body: Buffer.from(data), headers: { 'Content-Type': OCTETS, ...headers } });
  }

  download(id: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send('GET', `/v2/images/${id}/file`, { headers });
  }

  async list(query: string): Promise<{ images: Image[]; next?: string; first: string }> {
    const reply = await this.send('GET', `/v2/images?${query}`);
    if (reply.status !== 200) throw new Error(`expected 200, found ${reply.status}: ${reply.text}`);
    return reply.json as unknown as { images: Image[]; next?: string; first: string };
  }

  status(id: string): Promise<string> {
    return this.show(id).then((image) => image.status);
  }

  /** An upload that has sent its first part and that the service is saving. `length` absent: chunked. */
  async beginUpload(id: string, firstPart: Buffer, length?: number): Promise<OpenUpload> {
    const upload = new OpenUpload(this.url, id, firstPart, length);
    await until(`image ${id} is saving`, async () => (await this.status(id)) === 'saving');
    return upload;
  }

  untilQueued(id: string): Promise<true> {
    return until(`image ${id} is queued again`, async () => (await this.status(id)) === 'queued', 10_000);
  }
}

export class OpenUpload {
  readonly request: ClientRequest;
  readonly #answer: Promise<{ status: number; text: string }>;

  constructor(url: string, id: string, firstPart: Buffer, length?: number) {
    const headers = { 'Content-Type': OCTETS, Connection: 'keep-alive', ...(length === undefined ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': length }) };
    this.request = requestHttp(`${url}/v2/images/${id}/file`, { method: 'PUT', agent: false, headers });
    this.#answer = once(this.request, 'response').then(async ([response]) => {
      let text = '';
      for await (const more of (response as IncomingMessage).setEncoding('utf8')) text += more as string;
      return { status: (response as IncomingMessage).statusCode ?? 0, text };
    });
    this.#answer.catch(() => undefined); // a test that breaks the upload expects no answer
    this.request.on('error', () => undefined); // the answer, or that there is none, tells
    this.request.write(firstPart);
  }

  /** Sends the rest and resolves with the answer. */
  finish(rest: Buffer): Promise<{ status: number; text: string }> {
    this.request.end(rest);
    return this.#answer;
  }

  /** Closes the connection; `reset` without a goodbye (RST). */
  break(how: 'close' | 'reset' | 'half-close'): void {
    if (how === 'reset') this.request.socket?.resetAndDestroy();
    else if (how === 'half-close') this.request.socket?.end();
    else this.request.destroy();
  }
}
