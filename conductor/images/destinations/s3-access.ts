import type { Agent } from 'node:https';
import { S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { withDeadline } from '../../../protocol/deadline.ts';
import { InvalidParameterError, MetalshotError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../../protocol/errors.ts';
import { TakenError } from './destination.ts';
import type { TransferTimes } from './https-destination.ts';

export interface S3Store {
  endpoint: string;
  region: string;
  accessKeyId: string;
  /** Read anew from time to time. */
  secretAccessKey(): Promise<string>;
  buckets: readonly string[];
  pathStyle: boolean;
  /** For an https endpoint. */
  httpsAgent?: Agent;
}

/** Of one set of credentials, before they are read again. */
const CREDENTIALS_LIFE_MS = 15 * 60_000;
/** Of one request, the first time included; a part is at hand until it is stored. */
const ATTEMPTS = 3;

/** The well-kept client, with a deadline for each call and our errors. */
export class S3Access {
  readonly #client: S3Client;
  readonly #times: TransferTimes;

  constructor(store: S3Store, times: TransferTimes) {
    this.#times = times;
    this.#client = new S3Client({
      endpoint: store.endpoint,
      region: store.region,
      forcePathStyle: store.pathStyle,
      credentials: async () => ({ accessKeyId: store.accessKeyId, secretAccessKey: await store.secretAccessKey(), expiration: new Date(Date.now() + CREDENTIALS_LIFE_MS) }),
      maxAttempts: ATTEMPTS,
      retryMode: 'standard',
      // Content-MD5 and the signature's SHA-256 of each request's body are what every store checks; trailing checksums are what many do not know.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      followRegionRedirects: false,
      requestHandler: { connectionTimeout: times.timeoutMs, ...(store.httpsAgent === undefined ? {} : { httpsAgent: store.httpsAgent }) },
    });
  }

  /**
   * Does one call. `null`: there is no such thing.
   * @param timeoutMs default: that of a request without image data.
   * @throws MetalshotError; TakenError where the store refuses to replace something.
   */
  async call<T>(what: string, place: string, signal: AbortSignal, send: (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>, timeoutMs = this.#times.timeoutMs): Promise<T | null> {
    try {
      return await withDeadline(timeoutMs, [signal], (abortSignal) => send(this.#client, { abortSignal }));
    } catch (error) {
      return absentOrThrow(what, place, signal, error);
    }
  }
}

function absentOrThrow(what: string, place: string, signal: AbortSignal, error: unknown): null {
  if (error instanceof MetalshotError) throw error;
  const problem = `The S3 store did not ${what} ${place}`;
  if (!(error instanceof S3ServiceException)) {
    if (signal.aborted) throw new OperationFailedError(`${problem}: it was stopped on request`, { stopped: true }, signal.reason);
    throw new TemporarilyUnavailableError(`${problem}: ${messageOf(error)}`, { retryable: true }, error);
  }
  const status = error.$metadata.httpStatusCode ?? 0;
  const data = { status, s3: error.name };
  if (error.name === 'NoSuchBucket') throw new InvalidParameterError(`${problem}: there is no such bucket. Make it first.`, data, error);
  if (status === 404) return null;
  if (status === 412 || error.name === 'PreconditionFailed') throw new TakenError(place);
  const said = `HTTP ${status} ${error.name} ${messageOf(error)}`;
  if (isUnknownToStore(error)) throw new UnknownToStoreError(`${problem}: ${said}`, data, error);
  if (status >= 500 || status === 0 || status === 408 || status === 429) throw new TemporarilyUnavailableError(`${problem}: ${said}`, { ...data, retryable: true }, error);
  throw new InvalidParameterError(`${problem}: ${said}. Check snapshot.s3 (endpoint, region, keys) and what its user may do in the bucket.`, { ...data, retryable: false }, error);
}

/** The store does not know a header that others do. */
export class UnknownToStoreError extends OperationFailedError {}
const isUnknownToStore = ({ name, $metadata }: S3ServiceException): boolean => name === 'NotImplemented' || $metadata.httpStatusCode === 501;
