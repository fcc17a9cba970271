import type { IncomingMessage, ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidParameterError, MetalshotError, OperationFailedError, messageOf } from '../protocol/errors.ts';
import { IMAGE_ENCODINGS, IMAGE_KEY_HEADER, IMAGE_MAC_TRAILER, IMAGE_SIZE_HEADER, LINK_PROBE_HEADER, PROBE_LIMIT_BYTES, type ImageEncoding } from '../protocol/image-stream.ts';
import { ProvenEnd } from '../protocol/proven-end.ts';
import { isMacKey, StreamMac } from '../protocol/stream-mac.ts';
import { createZstdStream } from '../protocol/zstd-stream.ts';
import { Throttle, type TokenBucket } from './bandwidth.ts';

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
  // not 400, after which an agent tries the mount: the report of one that old is none for us
  if (key === undefined) throw new MetalshotError('UpgradeRequired', 426, `${IMAGE_KEY_HEADER} is missing: a ramdisk has to be of the same version as its conductor. Build it again.`);
  if (!isMacKey(key)) throw new InvalidParameterError(`${IMAGE_KEY_HEADER}: expected a key of 64 hex digits, found another value.`);
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

/** Where an image stream goes. */
export interface StreamReceiver {
  /** Commits what it got at its end, and leaves nothing when it is destroyed before. */
  writable: Writable;
  /** Told the image's digest (hex sha512) before its last bytes come. Absent: none is made. */
  onDigest?(sha512: string): void;
  /** Told its authentication code (hex) once it is committed. */
  onProven?(mac: string): void;
}

export interface ImageReception {
  receiver: StreamReceiver;
  /** Of the bytes on the wire. */
  buckets: readonly TokenBucket[];
  /** Told how many bytes of the image have come. */
  onBytes(receivedBytes: number): void;
}

/**
 * Takes an image stream into a receiver, and answers 201 once the receiver has it whole and proven.
 * @throws MetalshotError when it did not come whole; the receiver is destroyed then.
 */
export async function receiveImage(request: IncomingMessage, response: ServerResponse, { sizeBytes, encoding, key }: StreamedImage, { receiver, buckets, onBytes }: ImageReception): Promise<void> {
  const { writable, onDigest, onProven } = receiver;
  let proven = '';
  const check = (found: string): void => {
    requireSameCode(found, trailerOf(request));
    proven = found;
  };
  const end = new ProvenEnd(sizeBytes, { meter: new StreamMac(key), check, ...(onDigest ? { onDigest } : {}) });
  end.on('data', () => onBytes(end.receivedBytes));
  try {
    await pipeline([request, ...throttles(buckets), ...(encoding === 'zstd' ? [createZstdStream('decompress')] : []), end, writable]);
  } catch (error) {
    throw error instanceof MetalshotError ? error : new OperationFailedError(`The image did not come whole: ${messageOf(error)}`, {}, error);
  }
  onProven?.(proven);
  response.writeHead(201);
  response.end();
}

function requireSameCode(found: string, expected: string | undefined): void {
  if (expected === undefined) throw new InvalidParameterError('The image came without its authentication code (a trailer), which a proxy may have taken away: whether it is whole can not be known');
  if (expected.toLowerCase() !== found) throw new OperationFailedError(`The image has the authentication code ${found}, its sender says ${expected.slice(0, 64)}: it was changed on its way`);
}

const throttles = (buckets: readonly TokenBucket[]): Throttle[] => (buckets.length === 0 ? [] : [new Throttle(buckets)]);

function trailerOf({ trailers }: IncomingMessage): string | undefined {
  const value = trailers[IMAGE_MAC_TRAILER.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}
