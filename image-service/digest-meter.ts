import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { algorithmOf } from './image-digest.ts';

/** Lets data through unchanged, counts and digests them. */
export class DigestMeter extends Transform {
  sizeBytes = 0;
  readonly #hash: Hash;
  readonly #onProgress: (sizeBytes: number) => void;

  /** @param onProgress told the bytes so far. @throws InvalidParameterError for an algorithm that is unknown here. */
  constructor(hashAlgo: string, onProgress: (sizeBytes: number) => void) {
    const hash = createHash(algorithmOf(hashAlgo));
    super();
    this.#hash = hash;
    this.#onProgress = onProgress;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.sizeBytes += chunk.length;
    this.#hash.update(chunk);
    this.#onProgress(this.sizeBytes);
    done(null, chunk);
  }

  /** Size and hex digest of all that came; once, at the end. */
  result(): { sizeBytes: number; hashValue: string } {
    return { sizeBytes: this.sizeBytes, hashValue: this.#hash.digest('hex') };
  }
}
