import { PassThrough, Writable } from 'node:stream';
import { MetalshotError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';

type Upload = (data: PassThrough, signal: AbortSignal) => Promise<void>;

/** Held before the image service takes it. */
const BUFFER_BYTES = 256 * 1024;

/**
 * What is written to it goes straight into an upload, at the upload's pace, and nothing is kept. It ends (`finish`) when the
 * upload has succeeded, and fails with it; destroyed before its end it takes the upload with it. The upload announces its
 * length, so whatever misses the last byte is never an image.
 */
export class RelayedImage extends Writable {
  readonly #data = new PassThrough({ highWaterMark: BUFFER_BYTES });
  readonly #stopped = new AbortController();
  readonly #upload: Promise<void>;

  constructor(upload: Upload) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#data.on('error', () => undefined); // the upload tells it
    this.#upload = upload(this.#data, this.#stopped.signal).catch((error: unknown) => {
      throw refusedBehind(error);
    });
    this.#upload.catch((error: Error) => this.destroy(error)); // also while nobody writes
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#data.write(chunk, (error) => done(error ?? null));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#data.end();
    this.#upload.then(() => done(), (error: Error) => done(error));
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const reason = error ?? new OperationFailedError('The stream to the image service was ended early');
    if (!this.writableFinished) {
      this.#stopped.abort(reason);
      this.#data.destroy(reason);
    }
    const settle = (): void => done(error);
    this.#upload.then(settle, settle); // whoever closes us may look at the image then
  }
}

/**
 * The sender learns that it is not us who refuses (what a status of our own would say of streams, or of the mount, is not meant):
 * 424 for what another try does not change, otherwise 502.
 */
function refusedBehind(error: unknown): MetalshotError {
  const isFinal = error instanceof MetalshotError && error.data['retryable'] === false;
  return new MetalshotError('TargetFailed', isFinal ? 424 : 502, messageOf(error), error instanceof MetalshotError ? error.data : {}, error);
}
