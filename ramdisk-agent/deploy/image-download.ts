import type { Readable } from 'node:stream';
import { DISK_STREAM_TYPE, decodeDiskStream, type DiskStreamPart } from '../../protocol/disk-stream.ts';
import { messageOf, MetalshotError, OperationFailedError } from '../../protocol/errors.ts';
import { createHttpClient, describeHttpFailure } from '../../protocol/http-client.ts';
import { PermanentFailure, UnreachableFailure } from './permanent-failure.ts';

export interface ImageAddress {
  url: string;
  username: string;
  password: string;
  /** PEM of the very certificate that the server has to show. */
  ca?: string;
}

/** Refusals that may pass by themselves. */
const PASSING_STATUSES = new Set([408, 409, 425, 429]);

/**
 * Fetches the disk stream and hands its parts to `use`; the connection is closed on every path.
 * @param timeoutMs until the server begins to answer; from then on `signal` is the only limit.
 * @throws PermanentFailure when the server refuses (4xx); UnreachableFailure when it does not begin to send the image;
 *   OperationFailedError otherwise, also when the connection breaks later.
 */
export async function downloadImage<T>({ url, username, password, ca }: ImageAddress, timeoutMs: number, signal: AbortSignal, use: (parts: AsyncIterable<DiskStreamPart>) => Promise<T>): Promise<T> {
  const client = createHttpClient({ timeoutMs, ca, pinned: ca !== undefined, maxReplyBytes: Infinity });
  const headers = { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`, Accept: DISK_STREAM_TYPE, 'Accept-Encoding': 'identity' };
  const reply = await client.get<Readable>(url, { responseType: 'stream', decompress: false, headers, signal }).catch((error: unknown) => {
    const problem = `the image cannot be fetched: ${signal.aborted ? messageOf(signal.reason) : describeHttpFailure(error)}`;
    throw isCertificateFailure(error) ? new OperationFailedError(problem, {}, error) : new UnreachableFailure(problem, {}, error);
  });
  const body = reply.data;
  try {
    if (reply.status !== 200) {
      const message = `the image cannot be fetched: expected 200 of GET ${url}, found ${reply.status}`;
      throw reply.status >= 400 && reply.status < 500 && !PASSING_STATUSES.has(reply.status) ? new PermanentFailure(`${message}; the conductor does not give this machine the image (any more)`) : new UnreachableFailure(message);
    }
    return await use(decodeDiskStream(body as AsyncIterable<Buffer>));
  } catch (error) {
    signal.throwIfAborted();
    if (isConnectionFailure(error)) throw new OperationFailedError(`the connection broke while the image was fetched: ${messageOf(error)}`, {}, error);
    throw error;
  } finally {
    body.on('error', () => undefined); // what ends it is told above
    body.destroy();
  }
}

/** Errors of the system (ECONNRESET and the like) have a code. */
const isConnectionFailure = (error: unknown): boolean => !(error instanceof MetalshotError) && typeof error === 'object' && error !== null && 'code' in error;

/** Codes of Node and of OpenSSL, such as DEPTH_ZERO_SELF_SIGNED_CERT: a server answers, but it is not the one that we were told of. */
const isCertificateFailure = (error: unknown): boolean => /CERT|ERR_TLS|SIGNATURE/.test(String((error as { code?: unknown } | null)?.code));
