import { Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AbortMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, HeadBucketCommand, HeadObjectCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { DigestMeter } from '../../../image-service/digest-meter.ts';
import { StallTimer } from '../../../image-service/exchange.ts';
import { InvalidParameterError, MetalshotError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../../../protocol/image.ts';
import { NOTE_ENDING, NOTE_LIMIT_BYTES, TakenError, type Destination, type Found } from './destination.ts';
import type { TransferTimes } from './https-destination.ts';
import { UnknownToStoreError, type S3Access } from './s3-access.ts';
import { unquoted, uploadInParts } from './s3-upload.ts';

/** An object of an S3 store. */
export class S3Destination implements Destination {
  readonly writesInPlace = false;
  readonly #place: string;
  readonly #object: { Bucket: string; Key: string };
  readonly #access: S3Access;
  readonly #times: TransferTimes;

  /** @throws InvalidParameterError unless the URL names one of the buckets. */
  constructor(url: URL, buckets: readonly string[], access: S3Access, times: TransferTimes) {
    if (!buckets.includes(url.host)) throw new InvalidParameterError(`No snapshot is written to ${url.href}: ${url.host} is not one of snapshot.s3.buckets.`, { destination: url.href });
    this.#place = url.href;
    this.#object = { Bucket: url.host, Key: url.pathname.slice(1) };
    this.#access = access;
    this.#times = times;
  }

  async find(signal: AbortSignal): Promise<Found | null> {
    const found = await this.#head(signal);
    if (found !== null) return { sizeBytes: found.ContentLength ?? -1, version: found.ETag ?? null };
    // the same status tells of a bucket that is not there; who may not ask for buckets learns it when the upload begins
    const bucket = await this.#access.call('show the bucket of', this.#place, signal, (client, options) => client.send(new HeadBucketCommand({ Bucket: this.#object.Bucket }), options)).catch(unlessForbidden);
    if (bucket === null) throw new InvalidParameterError(`No snapshot is written to ${this.#place}: the store has no bucket ${this.#object.Bucket}. Make it first.`, { destination: this.#place });
    return null;
  }

  async write(data: Readable, sizeBytes: number, { signal, onProgress, answerTimeoutMs = this.#times.answerTimeoutMs }: Parameters<Destination['write']>[2]): Promise<'proven' | 'unproven'> {
    if ((await this.#head(signal)) !== null) throw new TakenError(this.#place);
    const upload = { access: this.#access, bucket: this.#object.Bucket, key: this.#object.Key, place: this.#place, stallTimeoutMs: this.#times.stallTimeoutMs, answerTimeoutMs };
    const etag = await uploadInParts({ ...upload, isTaken: async () => (await this.#head(signal)) !== null }, data, sizeBytes, signal, onProgress);
    const stored = await this.#head(signal);
    return etag !== null && stored?.ContentLength === sizeBytes && unquoted(stored.ETag ?? '') === etag ? 'proven' : 'unproven';
  }

  async digest(signal: AbortSignal): Promise<string> {
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    return (await this.read(nowhere, { signal, hashAlgo: IMAGE_HASH_ALGO, onProgress: () => undefined })).hashValue;
  }

  async read(destination: Writable, { signal, hashAlgo, onProgress }: Parameters<Destination['read']>[1]): Promise<{ sizeBytes: number; hashValue: string }> {
    const answer = await this.#access.call('give', this.#place, signal, (client, options) => client.send(new GetObjectCommand(this.#object), options));
    const body = answer?.Body as Readable | undefined;
    if (body === undefined) throw new NotFoundError(`There is no object ${this.#place}.`, { source: this.#place });
    const timer = new StallTimer(this.#times.stallTimeoutMs, () => void body.destroy(new OperationFailedError(`The S3 store has sent no data of ${this.#place} for ${this.#times.stallTimeoutMs / 1_000} s`, { retryable: true })));
    const meter = new DigestMeter(hashAlgo, (bytes) => {
      timer.touch();
      onProgress(bytes);
    });
    try {
      await pipeline(body, meter, destination, { signal });
      return meter.result();
    } catch (error) {
      if (error instanceof MetalshotError || signal.aborted) throw error;
      throw new TemporarilyUnavailableError(`${this.#place} could not be read: ${messageOf(error)}`, { retryable: true }, error);
    } finally {
      timer.stop();
    }
  }

  /** Uploads that were begun and neither completed nor aborted: a store keeps, and charges for, their parts for ever. */
  async clear(signal: AbortSignal): Promise<void> {
    const { Bucket, Key } = this.#object;
    for (let marker: { KeyMarker?: string; UploadIdMarker?: string } | null = {}; marker !== null; ) {
      const from: { KeyMarker?: string; UploadIdMarker?: string } = marker;
      const listed = await this.#access.call('list the uploads to', this.#place, signal, (client, options) => client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key, ...from }), options));
      for (const upload of listed?.Uploads ?? []) {
        if (upload.Key !== Key || upload.UploadId === undefined) continue;
        await this.#access.call('abort an upload to', this.#place, signal, (client, options) => client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: upload.UploadId }), options));
      }
      marker = listed?.IsTruncated === true ? { KeyMarker: listed.NextKeyMarker, UploadIdMarker: listed.NextUploadIdMarker } : null;
    }
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.#access.call('delete', this.#place, signal, (client, options) => client.send(new DeleteObjectCommand(this.#object), options));
  }

  async readNote(signal: AbortSignal): Promise<string | null> {
    const answer = await this.#access.call('give the manifest of', this.#place, signal, async (client, options) => {
      const { Body, ContentLength } = await client.send(new GetObjectCommand(this.#note), options);
      if ((ContentLength ?? 0) <= NOTE_LIMIT_BYTES) return { text: (await Body?.transformToString('utf-8')) ?? '' };
      (Body as Readable | undefined)?.destroy();
      return { text: '' }; // somebody else's, whatever it is
    });
    return answer?.text ?? null;
  }

  async writeNote(text: string, signal: AbortSignal): Promise<void> {
    const put = (condition: { IfNoneMatch?: string }): Promise<unknown> =>
      this.#access.call('take the manifest of', this.#place, signal, (client, options) => client.send(new PutObjectCommand({ ...this.#note, Body: text, ContentType: 'application/json', ...condition }), options));
    try {
      await put({ IfNoneMatch: '*' });
    } catch (error) {
      if (!(error instanceof UnknownToStoreError)) throw error;
      if ((await this.readNote(signal)) !== null) throw new TakenError(this.#place + NOTE_ENDING);
      await put({});
    }
  }

  get #note(): { Bucket: string; Key: string } {
    return { ...this.#object, Key: this.#object.Key + NOTE_ENDING };
  }

  #head(signal: AbortSignal): Promise<{ ContentLength?: number | undefined; ETag?: string | undefined } | null> {
    return this.#access.call('tell about', this.#place, signal, (client, options) => client.send(new HeadObjectCommand(this.#object), options));
  }
}

function unlessForbidden(error: unknown): 'unknown' {
  if (error instanceof InvalidParameterError && error.data['status'] === 403) return 'unknown';
  throw error;
}
