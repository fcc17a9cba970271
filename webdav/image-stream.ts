import type { IncomingMessage, ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../protocol/errors.ts';
import { IMAGE_DIGEST_TRAILER, IMAGE_ENCODINGS, IMAGE_SIZE_HEADER, LINK_PROBE_HEADER, PROBE_LIMIT_BYTES, type ImageEncoding } from '../protocol/image-stream.ts';
import { createZstdStream } from '../protocol/zstd-stream.ts';
import { Throttle, type TokenBucket } from './bandwidth.ts';
import { ProvenEnd } from './proven-end.ts';

export interface StreamedImage {
  sizeBytes: number;
  encoding: ImageEncoding;
}

/** What the request announces; null: it is no image stream. @throws InvalidParameterError */
export function announcedImage({ headers }: IncomingMessage): StreamedImage | null {
  const size = headers[IMAGE_SIZE_HEADER.toLowerCase()];
  if (size === undefined) return null;
  const sizeBytes = typeof size === 'string' && /^\d{1,16}$/.test(size) ? Number(size) : 0;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) throw new InvalidParameterError(`${IMAGE_SIZE_HEADER}: expected the image's length in bytes, found ${JSON.stringify(size)}.`);
  const encoding = (headers['content-encoding'] ?? 'identity') as ImageEncoding;
  if (!IMAGE_ENCODINGS.includes(encoding)) throw new InvalidParameterError(`Content-Encoding: expected one of ${IMAGE_ENCODINGS.join(', ')}, found ${JSON.stringify(encoding)}.`);
  return { sizeBytes, encoding };
}

export const isLinkProbe = ({ headers }: IncomingMessage): boolean => headers[LINK_PROBE_HEADER.toLowerCase()] !== undefined;

/** Takes what a probe brings, as fast as an image may come, and keeps none of it. @throws MetalshotError when it brings more than a probe may. */
export async function takeLinkProbe(request: IncomingMessage, response: ServerResponse, idleTimeoutMs: number, buckets: readonly TokenBucket[] = []): Promise<void> {
  let probeBytes = 0;
  request.setTimeout(idleTimeoutMs, () => request.destroy());
  const nowhere = new Writable({
    write(chunk: Buffer, _encoding, done) {
      probeBytes += chunk.length;
      done(probeBytes > PROBE_LIMIT_BYTES ? new InvalidParameterError(`A probe of the link may bring ${PROBE_LIMIT_BYTES} bytes.`) : null);
    },
  });
  await pipeline([request, ...throttles(buckets), nowhere]);
  response.writeHead(204);
  response.end();
}

export interface ImageReception {
  receiver: Writable;
  /** Of the bytes on the wire. */
  buckets: readonly TokenBucket[];
  /** Told how many bytes of the image have come. */
  onBytes(receivedBytes: number): void;
  /** Told its digest (hex) once the receiver has committed it. */
  onProven(sha512: string): void;
}

/**
 * Takes an image stream into a receiver, and answers 201 once the receiver has it whole and proven.
 * @param receiver commits what it got at its end (`finish`); destroyed before, it leaves nothing.
 * @throws MetalshotError when it did not come whole; the receiver is destroyed then.
 */
export async function receiveImage(request: IncomingMessage, response: ServerResponse, { sizeBytes, encoding }: StreamedImage, { receiver, buckets, onBytes, onProven }: ImageReception): Promise<void> {
  const end = new ProvenEnd(sizeBytes, () => trailerOf(request));
  end.on('data', () => onBytes(end.receivedBytes));
  try {
    await pipeline([request, ...throttles(buckets), ...(encoding === 'zstd' ? [createZstdStream('decompress')] : []), end, receiver]);
  } catch (error) {
    throw error instanceof MetalshotError ? error : new OperationFailedError(`The image did not come whole: ${messageOf(error)}`, {}, error);
  }
  onProven(end.provenDigest);
  response.writeHead(201, { 'Content-Length': 0 });
  response.end();
}

const throttles = (buckets: readonly TokenBucket[]): Throttle[] => (buckets.length === 0 ? [] : [new Throttle(buckets)]);

function trailerOf({ trailers }: IncomingMessage): string | undefined {
  const value = trailers[IMAGE_DIGEST_TRAILER.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}
