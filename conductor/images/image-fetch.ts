import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from '../../protocol/log.ts';
import { InvalidParameterError, MetalshotError, NotFoundError, OperationFailedError, TemporarilyUnavailableError, messageOf } from '../../protocol/errors.ts';
import type { ImageFacts } from '../drivers/deployment.ts';
import type { ImageOrigin } from './image-origin.ts';
import { SparseFile } from './sparse-file.ts';

export interface FetchPlan {
  origin: ImageOrigin;
  facts: ImageFacts;
  shown: string;
  target: string;
  maxBytes: number;
  attempts: number;
  /** Before the second try; doubled before each further one. */
  pauseMs: number;
  signal: AbortSignal;
  onProgress(bytesReceived: number): void;
  log: Logger;
}

const LONGEST_PAUSE_MS = 30_000;
const STORAGE_CODES = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/**
 * Brings the data of an image into the file `target`, on the disk and proven by their digest when it resolves with their
 * size. What may pass is tried again from the start, with pauses; data with another digest once.
 * @throws InvalidParameterError when they are not the image's data; TemporarilyUnavailableError when the disk is full; OperationFailedError.
 */
export async function fetchImage(plan: FetchPlan): Promise<number> {
  const { facts, shown, attempts, signal, log } = plan;
  let pauseMs = plan.pauseMs;
  let mismatches = 0;
  for (let attempt = 1; ; attempt += 1) {
    let problem: string;
    try {
      const { sizeBytes, hashValue } = await tryFetch(plan);
      if (hashValue === facts.hashValue) return sizeBytes;
      problem = `received ${sizeBytes} bytes with ${facts.hashAlgo} ${hashValue}, expected ${facts.hashValue}`;
    } catch (error) {
      if (signal.aborted || isPermanent(error)) throw error;
      if (isStorageFull(error)) throw new TemporarilyUnavailableError(`The image ${shown} was not fetched: ${messageOf(error)}. Free space in the directory of fetched images (deploy.image_directory).`, {}, error);
      problem = messageOf(error);
      if (!isDamage(error)) {
        if (attempt >= attempts) throw new OperationFailedError(`The image ${shown} could not be fetched (${attempt} attempts): ${problem}`, {}, error);
        log.warn({ image: shown, attempt, pauseMs, error: problem }, 'fetching an image failed; it is tried again');
        await pause(pauseMs, undefined, { signal });
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
        continue;
      }
    }
    mismatches += 1;
    if (mismatches > 1) throw new InvalidParameterError(`The data of image ${shown} are not what its digest says, twice: ${problem}. Correct the digest, or the image.`, { source: shown });
    log.warn({ image: shown, problem }, 'the data of an image have another digest; they are fetched once more');
  }
}

async function tryFetch({ origin, facts, target, maxBytes, signal, onProgress }: FetchPlan): Promise<{ sizeBytes: number; hashValue: string }> {
  await rm(target, { force: true });
  const destination = new SparseFile(target, maxBytes);
  let broken: unknown;
  destination.on('error', (error) => (broken ??= error)); // also when nobody pipes into it yet
  try {
    return await origin.fetch(facts, destination, { signal, onProgress });
  } catch (error) {
    throw broken instanceof InvalidParameterError || isStorageFull(broken) ? broken : error;
  } finally {
    await destination.settled();
  }
}

const isStorageFull = (error: unknown): boolean => STORAGE_CODES.includes(String((error as Partial<NodeJS.ErrnoException> | undefined)?.code));
const isDamage = (error: unknown): boolean => error instanceof MetalshotError && error.data['damaged'] === true;

/** What another try cannot mend: a refusal of ours, or one that the server will repeat. */
function isPermanent(error: unknown): boolean {
  if (error instanceof InvalidParameterError || error instanceof NotFoundError) return true;
  if (!(error instanceof MetalshotError)) return false;
  const { status, retryable } = error.data;
  return retryable === false || (typeof status === 'number' && status >= 300 && status < 500 && status !== 408 && status !== 429);
}
