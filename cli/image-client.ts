import type { AxiosResponse, Method } from 'axios';
import type { Readable } from 'node:stream';
import type { Image } from '../protocol/image.ts';
import { UUID_PATTERN } from '../protocol/provision.ts';
import { pathOfLink, segment, withQuery } from './api-client.ts';
import { exitCodeOfStatus, isObject } from './api-error.ts';
import type { Endpoint, RequestOptions } from './endpoint.ts';
import { CommandFailure, EXIT, UsageError } from './exit-code.ts';

/** The image service (Glance API v2). Its errors are plain text or HTML; replies are JSON. */
export class ImageClient {
  private readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  async create(fields: Readonly<Record<string, unknown>>): Promise<Image> {
    return imageOf(await this.send('POST', '/v2/images', { body: fields }));
  }

  /** All images that match, page after page. */
  async list(filters: Readonly<Record<string, string | undefined>>): Promise<Image[]> {
    const images: Image[] = [];
    let page: string | undefined = withQuery('/v2/images', filters);
    const seen = new Set<string>();
    while (page !== undefined) {
      if (seen.has(page)) throw new CommandFailure(EXIT.unavailable, 'the image service repeats a page: its "next" links go round in a circle');
      seen.add(page);
      const { data } = await this.send('GET', page);
      if (!isObject(data) || !Array.isArray(data.images)) throw notAnImageService(this.endpoint);
      images.push(...(data.images as Image[]));
      page = typeof data.next === 'string' ? pathOfLink(data.next, '/v2/') : undefined;
    }
    return images;
  }

  async get(id: string): Promise<Image> {
    return imageOf(await this.send('GET', `/v2/images/${segment(id)}`));
  }

  /** The image with this id or, failing that, the only one with this name. */
  async find(idOrName: string): Promise<Image> {
    if (UUID_PATTERN.test(idOrName)) return this.get(idOrName);
    const named = await this.list({ name: idOrName });
    if (named.length > 1) throw new UsageError(`${named.length} images are named "${idOrName}"; give the id of one: ${named.map((image) => image.id).join(', ')}`);
    if (named[0] === undefined) throw new CommandFailure(EXIT.notFound, `no image is named "${idOrName}"`);
    return named[0];
  }

  async delete(id: string, signal?: AbortSignal): Promise<void> {
    await this.send('DELETE', `/v2/images/${segment(id)}`, { signal });
  }

  /** Sends the data of a queued image; the length is declared, so that a cut upload is never taken for a whole one. */
  async upload(id: string, data: Readable, sizeBytes: number, signal: AbortSignal): Promise<void> {
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(sizeBytes) };
    await this.send('PUT', `/v2/images/${segment(id)}/file`, { body: data, headers, signal, streaming: true });
  }

  /** The data of an image as a stream; the caller reads it to its end or destroys it. */
  async download(id: string, signal: AbortSignal): Promise<Readable> {
    const response = await this.send('GET', `/v2/images/${segment(id)}/file`, { signal, headers: { Accept: 'application/octet-stream' }, responseType: 'stream', streaming: true });
    if (response.status !== 200) throw new CommandFailure(EXIT.refused, `image ${id} holds no data yet`);
    return response.data as Readable;
  }

  private async send(method: Method, path: string, options: RequestOptions = {}): Promise<AxiosResponse<unknown>> {
    const response = await this.endpoint.send(method, path, options);
    if (response.status >= 200 && response.status < 300) return response;
    if (options.responseType === 'stream') (response.data as Readable).destroy();
    const page = isObject(response.data) ? response.data.message : response.data; // JSON only from some versions
    const said = typeof page === 'string' ? plainSentence(page) : '';
    throw new CommandFailure(exitCodeOfStatus(response.status), `the image service answered ${response.status} to ${method} ${path}${said === '' ? '' : `: ${said}`}`);
  }
}

function imageOf({ data }: AxiosResponse<unknown>): Image {
  if (!isObject(data) || typeof data.id !== 'string') throw new CommandFailure(EXIT.unavailable, 'the reply is not an image: is --os-image-endpoint a Glance v2 service?');
  return data as unknown as Image;
}

const notAnImageService = (endpoint: Endpoint): CommandFailure =>
  new CommandFailure(EXIT.unavailable, `${endpoint.url} did not answer as an image service (Glance v2) does; check ${endpoint.settings.setting}`);

/** Text of an HTML or plain error page in one line. */
function plainSentence(page: string): string {
  const text = page.replace(/<(title|style)[^>]*>[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ');
  return text.replace(/\s+/g, ' ').trim().slice(0, 500);
}
