import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { IMAGE_HASH_ALGO } from '../protocol/image.ts';
import { InvalidParameterError, OperationFailedError } from '../protocol/errors.ts';

/**
 * Passes an image on as it comes, all but its end: that follows only when length and digest are what the sender says. Whoever
 * writes to it a receiver that takes nothing incomplete (a file that is renamed at its end, an upload with a Content-Length)
 * commits by the last byte: whatever else happens, the receiver is destroyed without it.
 */
export class ProvenEnd extends Transform {
  /** Bytes of the image that have come so far. */
  receivedBytes = 0;
  /** Hex; empty until the image has come whole. */
  provenDigest = '';
  readonly #sizeBytes: number;
  readonly #expectedDigest: () => string | undefined;
  readonly #digest = createHash(IMAGE_HASH_ALGO);
  #held: Buffer = Buffer.alloc(0);

  /** @param expectedDigest asked at the end, when the trailers are there. */
  constructor(sizeBytes: number, expectedDigest: () => string | undefined) {
    super({ highWaterMark: 256 * 1024 });
    this.#sizeBytes = sizeBytes;
    this.#expectedDigest = expectedDigest;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (chunk.length === 0) {
      done();
      return;
    }
    this.receivedBytes += chunk.length;
    if (this.receivedBytes > this.#sizeBytes) {
      done(new OperationFailedError(`The image was announced with ${this.#sizeBytes} bytes, and more came`));
      return;
    }
    this.#digest.update(chunk);
    const before = this.#held;
    this.#held = chunk;
    done(null, before.length === 0 ? undefined : before);
  }

  override _flush(done: TransformCallback): void {
    const expected = this.#expectedDigest();
    const found = this.#digest.digest('hex');
    if (this.receivedBytes !== this.#sizeBytes) done(new OperationFailedError(`The image was announced with ${this.#sizeBytes} bytes, ${this.receivedBytes} came`));
    else if (expected === undefined) done(new InvalidParameterError('The image came without its digest (a trailer), which a proxy may have taken away: whether it is whole can not be known'));
    else if (expected.toLowerCase() !== found) done(new OperationFailedError(`The image has ${IMAGE_HASH_ALGO} ${found}, its sender says ${expected.slice(0, 128)}: it was changed on its way`));
    else {
      this.provenDigest = found;
      done(null, this.#held);
    }
  }
}
