import type { IncomingMessage, ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../protocol/image.ts';
import { IMAGE_ENCODINGS, IMAGE_KEY_HEADER, IMAGE_MAC_TRAILER, IMAGE_SIZE_HEADER, LINK_PROBE_HEADER, PROBE_LIMIT_BYTES, type ImageEncoding, type ReceivedImage } from '../protocol/image-stream.ts';
import { isMacKey } from '../protocol/stream-mac.ts';
import { createZstdStream } from '../protocol/zstd-stream.ts';
import { Throttle, type TokenBucket } from './bandwidth.ts';
import { ProvenEnd } from './proven-end.ts';

export interface StreamedImage {
  sizeBytes: number;
  encoding: ImageEncoding;
  /** Of its authentication code. */
  key: string;
}

/** What the request announces; null: it is no image stream. @throws InvalidParameterError */
export function announcedImage({ headers }: IncomingMessage): StreamedImage | null {
  const size = headers[IMAGE_SIZE_HEADER.toLowerCase()];
  if (size === undefined) return null;
  const sizeBytes = typeof size === 'string' && /^\d{1,16}$/.test(size) ? Number(size) : 0;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) throw new InvalidParameterError(`${IMAGE_SIZE_HEADER}: expected the image's length in bytes, found ${JSON.stringify(size)}.`);
  const encoding = (headers['content-encoding'] ?? 'identity') as ImageEncoding;
  if (!IMAGE_ENCODINGS.includes(encoding)) throw new InvalidParameterError(`Content-Encoding: expected one of ${IMAGE_ENCODINGS.join(', ')}, found ${JSON.stringify(encoding)}.`);
  const key = headers[IMAGE_KEY_HEADER.toLowerCase()];
  if (!isMacKey(key)) throw new InvalidParameterError(`${IMAGE_KEY_HEADER}: expected a key of 64 hex digits, found ${key === undefined ? 'none' : 'another value'}. A ramdisk has to be as old as its conductor: build it again.`);
  return { sizeBytes, encoding, key };
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
 * Takes an image stream into a receiver, and answers 201 and its digest once the receiver has it whole and proven.
 * @param receiver commits what it got at its end (`finish`); destroyed before, it leaves nothing.
 * @throws MetalshotError when it did not come whole; the receiver is destroyed then.
 */
export async function receiveImage(request: IncomingMessage, response: ServerResponse, { sizeBytes, encoding, key }: StreamedImage, { receiver, buckets, onBytes, onProven }: ImageReception): Promise<void> {
  const end = new ProvenEnd(sizeBytes, key, () => trailerOf(request));
  end.on('data', () => onBytes(end.receivedBytes));
  try {
    await pipeline([request, ...throttles(buckets), ...(encoding === 'zstd' ? [createZstdStream('decompress')] : []), end, receiver]);
  } catch (error) {
    throw error instanceof MetalshotError ? error : new OperationFailedError(`The image did not come whole: ${messageOf(error)}`, {}, error);
  }
  onProven(end.provenDigest);
  const answer: ReceivedImage = { os_hash_algo: IMAGE_HASH_ALGO, os_hash_value: end.provenDigest };
  response.writeHead(201, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer));
}

const throttles = (buckets: readonly TokenBucket[]): Throttle[] => (buckets.length === 0 ? [] : [new Throttle(buckets)]);

function trailerOf({ trailers }: IncomingMessage): string | undefined {
  const value = trailers[IMAGE_MAC_TRAILER.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}
