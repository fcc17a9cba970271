import { Transform, type TransformCallback } from 'node:stream';
import { OperationFailedError } from '../../../protocol/errors.ts';

/** Lets exactly so many bytes through: data that end early or late break the stream, and are never taken for the whole. */
export class ExactLength extends Transform {
  bytes = 0;
  readonly #sizeBytes: number;
  readonly #onProgress: (bytes: number) => void;

  constructor(sizeBytes: number, onProgress: (bytes: number) => void) {
    super({ highWaterMark: 1024 * 1024 });
    this.#sizeBytes = sizeBytes;
    this.#onProgress = onProgress;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.length;
    if (this.bytes > this.#sizeBytes) return done(new OperationFailedError(`more than the announced ${this.#sizeBytes} bytes came`));
    this.#onProgress(this.bytes);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    done(this.bytes === this.#sizeBytes ? null : new OperationFailedError(`only ${this.bytes} of ${this.#sizeBytes} bytes came: the data were cut`));
  }
}
