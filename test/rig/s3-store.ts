import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Upload {
  id: string;
  key: string;
  parts: Map<number, { body: Buffer; etag: string }>;
}
interface Answer {
  status: number;
  body?: Buffer | string;
  headers?: Record<string, string>;
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const md5 = (data: Buffer): Buffer => createHash('md5').update(data).digest();
const failure = (status: number, code: string): Answer => ({ status, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`, headers: { 'Content-Type': 'application/xml' } });

/**
 * The part of the S3 protocol that an upload needs, as strict as the real ones: signatures (SigV4), the digests of bodies
 * (x-amz-content-sha256, Content-MD5), parts and their ETags are checked, and an object is seen once it is completed.
 */
export class S3Store {
  readonly accessKeyId = 'test:tester';
  readonly secret = 'a secret of tests';
  readonly bucket = 'images';
  readonly objects = new Map<string, { body: Buffer; etag: string }>();
  readonly uploads = new Map<string, Upload>();
  /** Requests that are answered 501 because of this header, as stores do that know no conditions. */
  knowsConditions = true;
  /** ETags as encrypting stores make them: they say nothing of the data. */
  opaqueEtags = false;
  /** Changes a byte of every object that is put together. */
  damages = false;
  /** Answers instead of the store. */
  intercept: ((request: IncomingMessage) => Answer | undefined) | undefined;
  readonly #server: Server;
  #made = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(
        ({ status, body, headers }) => response.writeHead(status, { 'Content-Length': Buffer.byteLength(body ?? ''), ...headers }).end(request.method === 'HEAD' ? undefined : body),
        () => response.destroy(),
      );
    });
  }

  static async start(): Promise<S3Store> {
    const store = new S3Store();
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve));
    return store;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? '/', 'http://store');
    const { headers } = request;
    if (!this.#isSigned(request, url)) return failure(403, 'SignatureDoesNotMatch');
    if (headers['x-amz-content-sha256'] !== 'UNSIGNED-PAYLOAD' && headers['x-amz-content-sha256'] !== sha256(body)) return failure(400, 'XAmzContentSHA256Mismatch');
    if (headers['content-md5'] !== undefined && headers['content-md5'] !== md5(body).toString('base64')) return failure(400, 'BadDigest');
    if (headers['if-none-match'] !== undefined && !this.knowsConditions) return failure(501, 'NotImplemented');
    const intercepted = this.intercept?.(request);
    if (intercepted) return intercepted;
    const [, bucket, ...rest] = decodeURIComponent(url.pathname).split('/');
    if (bucket !== this.bucket) return request.method === 'HEAD' ? { status: 404 } : failure(404, 'NoSuchBucket');
    const key = rest.join('/');
    return key === '' ? this.#bucketAnswer(url) : this.#objectAnswer(request, key, url.searchParams, body);
  }

  #bucketAnswer({ searchParams }: URL): Answer {
    if (!searchParams.has('uploads')) return { status: 200, body: `<ListBucketResult><IsTruncated>false</IsTruncated>${[...this.objects.keys()].map((key) => `<Contents><Key>${key}</Key></Contents>`).join('')}</ListBucketResult>` };
    const listed = [...this.uploads.values()].filter(({ key }) => key.startsWith(searchParams.get('prefix') ?? ''));
    return { status: 200, body: `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${listed.map(({ id, key }) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`).join('')}</ListMultipartUploadsResult>` };
  }

  #objectAnswer({ method, headers }: IncomingMessage, key: string, query: URLSearchParams, body: Buffer): Answer {
    const found = this.objects.get(key);
    const upload = this.uploads.get(query.get('uploadId') ?? '');
    if (query.has('uploadId') && upload?.key !== key) return failure(404, 'NoSuchUpload');
    const taken = headers['if-none-match'] === '*' && found !== undefined;
    switch (method) {
      case 'HEAD':
        return found ? { status: 200, headers: { 'Content-Length': String(found.body.length), ETag: `"${found.etag}"` } } : { status: 404 };
      case 'GET':
        return found ? { status: 200, body: found.body, headers: { ETag: `"${found.etag}"` } } : failure(404, 'NoSuchKey');
      case 'DELETE':
        if (upload) this.uploads.delete(upload.id);
        else this.objects.delete(key);
        return { status: 204 };
      case 'POST':
        if (query.has('uploads')) return this.#begin(key);
        return taken ? failure(412, 'PreconditionFailed') : this.#complete(upload, body.toString());
      case 'PUT': {
        const etag = this.#etag(md5(body).toString('hex'));
        if (upload) upload.parts.set(Number(query.get('partNumber')), { body, etag });
        else if (taken) return failure(412, 'PreconditionFailed');
        else this.objects.set(key, { body, etag });
        return { status: 200, headers: { ETag: `"${etag}"` } };
      }
      default:
        return failure(405, 'MethodNotAllowed');
    }
  }

  #begin(key: string): Answer {
    const id = `upload-${(this.#made += 1)}`;
    this.uploads.set(id, { id, key, parts: new Map() });
    return { status: 200, body: `<InitiateMultipartUploadResult><Bucket>${this.bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>` };
  }

  #complete(upload: Upload | undefined, document: string): Answer {
    const named = [...document.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({ number: Number(/<PartNumber>(\d+)/.exec(part)?.[1]), etag: /<ETag>(?:"|&quot;)?([^"&<]+)/.exec(part)?.[1] }));
    const parts = named.map(({ number, etag }) => ({ etag, stored: upload?.parts.get(number) }));
    if (!upload || parts.length === 0 || parts.some(({ etag, stored }) => stored === undefined || stored.etag !== etag)) return failure(400, 'InvalidPart');
    const bodies = parts.flatMap(({ stored }) => (stored ? [stored.body] : []));
    if (bodies.slice(0, -1).some(({ length }) => length < 5 * 1024 ** 2)) return failure(400, 'EntityTooSmall');
    const body = Buffer.concat(bodies);
    const etag = this.#etag(`${md5(Buffer.concat(bodies.map(md5))).toString('hex')}-${bodies.length}`);
    if (this.damages) body[0] = (body[0] ?? 0) ^ 1;
    this.objects.set(upload.key, { body, etag: this.damages ? this.#etag(`${md5(body).toString('hex')}-${bodies.length}`) : etag });
    this.uploads.delete(upload.id);
    return { status: 200, body: `<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>` };
  }

  #etag(usual: string): string {
    return this.opaqueEtags ? `opaque-${(this.#made += 1)}` : usual;
  }

  /** AWS Signature Version 4, as its specification has it. */
  #isSigned({ method = '', headers }: IncomingMessage, url: URL): boolean {
    const [, scope, names, signature] = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$/.exec(headers.authorization ?? '') ?? [];
    if (scope === undefined || names === undefined) return false;
    const [keyId, date = '', region = '', service = '', last = ''] = scope.split('/');
    const query = [...url.searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).toSorted().join('&');
    const signed = names.split(';').map((name) => `${name}:${String(headers[name] ?? '').trim()}\n`).join('');
    const canonical = [method, url.pathname, query, signed, names, headers['x-amz-content-sha256']].join('\n');
    const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], [date, region, service, last].join('/'), sha256(canonical)].join('\n');
    const key = [date, region, service, last].reduce<Buffer>((made, part) => hmac(made, part), Buffer.from(`AWS4${this.secret}`));
    return keyId === this.accessKeyId && hmac(key, toSign).toString('hex') === signature;
  }
}

const encode = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
