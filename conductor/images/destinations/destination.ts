/** A place outside the image service that receives one image: what every kind of place does for destination-images.ts. */
import type { Readable, Writable } from 'node:stream';
import { OperationFailedError } from '../../../protocol/errors.ts';

export interface WriteOptions {
  signal: AbortSignal;
  onProgress(bytesSent: number): void;
  /** For the answer once everything is sent; absent: as long as is usual. */
  answerTimeoutMs?: number;
}

export interface Found {
  sizeBytes: number;
  /** Differs whenever the data were replaced; null: the place does not tell. */
  version: string | null;
}

/** Every method may be called again. @throws MetalshotError; `data.retryable` where another try makes sense. */
export interface Destination {
  /** Half an image may be seen under the name: of an upload that broke, or that is under way. */
  readonly writesInPlace: boolean;
  /** What is there under the name, whole; null: nothing. */
  find(signal: AbortSignal): Promise<Found | null>;
  /**
   * Streams exactly `sizeBytes` to a name under which there is nothing: they are seen there once they are whole, or never.
   * After a failure nothing is left, except when the place can not be reached: then `clear` removes it later; of a server that
   * writes in place a half stays under the name, for whoever knows that there was nothing before to `remove`.
   * `proven`: the place has confirmed the digest of everything it was sent; `unproven`: it has to be read back.
   * @throws TakenError when something is there by then.
   */
  write(data: Readable, sizeBytes: number, options: WriteOptions): Promise<'proven' | 'unproven'>;
  /** Hex sha512 of what the place holds, by reading it or by what it states. */
  digest(signal: AbortSignal): Promise<string>;
  /** Streams what the place holds; `destination` is ended or destroyed. */
  read(destination: Writable, options: { signal: AbortSignal; hashAlgo: string; onProgress(bytes: number): void }): Promise<{ sizeBytes: number; hashValue: string }>;
  /** Removes what broken uploads have left that is not seen under the name. Nothing there: fine. */
  clear(signal: AbortSignal): Promise<void>;
  /** Removes the data. Nothing there: fine. */
  remove(signal: AbortSignal): Promise<void>;
  /** The document beside the data; null: there is none. */
  readNote(signal: AbortSignal): Promise<string | null>;
  /** Stores it where there is none yet, so that it is seen whole or not at all. @throws TakenError */
  writeNote(text: string, signal: AbortSignal): Promise<void>;
}

/** What stands at the end of the document's name. */
export const NOTE_ENDING = '.json';
export const NOTE_LIMIT_BYTES = 1024 * 1024;

/** Somebody else has put something there meanwhile: it is never replaced. */
export class TakenError extends OperationFailedError {
  constructor(place: string) {
    super(`there is something at ${place} already, and nothing is overwritten: name another place, or remove it`, { retryable: false, taken: true });
  }
}
