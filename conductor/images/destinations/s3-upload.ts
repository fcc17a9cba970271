import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand, type CompletedPart } from '@aws-sdk/client-s3';
import { withDeadline } from '../../../protocol/deadline.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { TakenError } from './destination.ts';
import { UnknownToStoreError, type S3Access } from './s3-access.ts';

const MIB = 1024 ** 2;
const SMALLEST_PART_BYTES = 8 * MIB;
const MOST_PARTS = 10_000;
const ABORT_TIMEOUT_MS = 60_000;

export interface S3Upload {
  access: S3Access;
  bucket: string;
  key: string;
  /** For messages. */
  place: string;
  stallTimeoutMs: number;
  answerTimeoutMs: number;
  /** Whether there is an object under the key by now. */
  isTaken(): Promise<boolean>;
}

/** Size of the parts of an object: as small as the number of parts allows, since two of them are held in memory. */
export const partBytesOf = (sizeBytes: number): number => Math.max(SMALLEST_PART_BYTES, Math.ceil(Math.ceil(sizeBytes / MOST_PARTS) / MIB) * MIB);

/**
 * Uploads in parts, of which one is sent while the next is read. The object is seen once the store has put all of them
 * together; after any failure the upload is aborted, and the store has none of it.
 * @returns the ETag that the object has if the store holds what was sent (MD5 of the parts' MD5s), or null where the store makes others.
 */
export async function uploadInParts(upload: S3Upload, data: Readable, sizeBytes: number, signal: AbortSignal, onProgress: (bytesSent: number) => void): Promise<string | null> {
  const { access, place } = upload;
  const object = { Bucket: upload.bucket, Key: upload.key };
  const begun = await access.call('begin an upload to', place, signal, (client, options) => client.send(new CreateMultipartUploadCommand({ ...object, ContentType: 'application/octet-stream' }), options));
  const UploadId = begun?.UploadId;
  if (UploadId === undefined) throw new OperationFailedError(`The S3 store began no upload to ${place}`, { retryable: true });
  try {
    const { parts, etag } = await sendParts(upload, UploadId, data, sizeBytes, signal, onProgress);
    await complete(upload, UploadId, parts, signal);
    return etag;
  } catch (error) {
    // what can not be aborted now is found by its key later (S3Destination.clear)
    await withDeadline(ABORT_TIMEOUT_MS, [], (limited) => access.call('abort an upload to', place, limited, (client, options) => client.send(new AbortMultipartUploadCommand({ ...object, UploadId }), options))).catch(() => null);
    throw error;
  }
}

async function sendParts(upload: S3Upload, UploadId: string, data: Readable, sizeBytes: number, signal: AbortSignal, onProgress: (bytesSent: number) => void): Promise<{ parts: CompletedPart[]; etag: string | null }> {
  const partBytes = partBytesOf(sizeBytes);
  const timeoutMs = upload.stallTimeoutMs * Math.ceil(partBytes / SMALLEST_PART_BYTES);
  const parts: CompletedPart[] = [];
  const ofAll = createHash('md5');
  let isStandard = true;
  let bytesSent = 0;
  let sending: Promise<void> = Promise.resolve();
  const send = async (body: Buffer, PartNumber: number): Promise<void> => {
    const md5 = createHash('md5').update(body).digest();
    const command = new UploadPartCommand({ Bucket: upload.bucket, Key: upload.key, UploadId, PartNumber, Body: body, ContentLength: body.length, ContentMD5: md5.toString('base64') });
    const answer = await upload.access.call(`take part ${PartNumber} of`, upload.place, signal, (client, options) => client.send(command, options), timeoutMs);
    if (answer?.ETag === undefined) throw new OperationFailedError(`The S3 store has lost the upload to ${upload.place}`, { retryable: true });
    isStandard &&= unquoted(answer.ETag) === md5.toString('hex');
    ofAll.update(md5);
    parts.push({ PartNumber, ETag: answer.ETag });
    bytesSent += body.length;
    onProgress(bytesSent);
  };
  for await (const body of inParts(data, partBytes)) {
    await sending;
    sending = send(body, parts.length + 1);
    sending.catch((error: Error) => data.destroy(error)); // at once, not when the next part is complete
  }
  await sending;
  if (bytesSent !== sizeBytes) throw new OperationFailedError(`only ${bytesSent} of ${sizeBytes} bytes came: the data were cut`);
  return { parts, etag: isStandard ? `${ofAll.digest('hex')}-${parts.length}` : null };
}

/** Nothing is replaced: by the store's own rule where it knows one, otherwise by a look at the last moment. */
async function complete(upload: S3Upload, UploadId: string, Parts: CompletedPart[], signal: AbortSignal): Promise<void> {
  const { access, bucket, key, place, answerTimeoutMs } = upload;
  const send = (condition: { IfNoneMatch?: string }): Promise<unknown> =>
    access.call('put together', place, signal, (client, options) => client.send(new CompleteMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId, MultipartUpload: { Parts }, ...condition }), options), answerTimeoutMs);
  if (await upload.isTaken()) throw new TakenError(place);
  let answer: unknown;
  try {
    answer = await send({ IfNoneMatch: '*' });
  } catch (error) {
    if (!(error instanceof UnknownToStoreError)) throw error;
    answer = await send({});
  }
  if (answer === null) throw new OperationFailedError(`The S3 store has lost the upload to ${place}`, { retryable: true });
}

export const unquoted = (etag: string): string => etag.replaceAll('"', '');

/** Buffers of exactly `partBytes`, the last one smaller. */
async function* inParts(data: Readable, partBytes: number): AsyncGenerator<Buffer> {
  let part = Buffer.allocUnsafe(partBytes);
  let filled = 0;
  for await (const chunk of data as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; ) {
      const taken = chunk.copy(part, filled, at);
      at += taken;
      filled += taken;
      if (filled < partBytes) continue;
      yield part;
      part = Buffer.allocUnsafe(partBytes); // the one before is still being sent
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}
