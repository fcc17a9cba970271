import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { IMAGE_HASH_ALGO } from '../protocol/image.ts';
import { InvalidParameterError, OperationFailedError } from '../protocol/errors.ts';
import { StreamMac } from '../protocol/stream-mac.ts';

/**
 * Passes an image on as it comes, all but its end: that follows only when length and code are what the sender says. Whoever
 * writes to it a receiver that takes nothing incomplete (a file that is renamed at its end, an upload with a Content-Length)
 * commits by the last byte: whatever else happens, the receiver is destroyed without it.
 */
export class ProvenEnd extends Transform {
  /** Bytes of the image that have come so far. */
  receivedBytes = 0;
  /** Hex, of what came; empty until the image has come whole. */
  provenDigest = '';
  readonly #sizeBytes: number;
  readonly #expectedMac: () => string | undefined;
  readonly #digest = createHash(IMAGE_HASH_ALGO);
  readonly #mac: StreamMac;
  #held: Buffer = Buffer.alloc(0);

  /** @param expectedMac asked at the end, when the trailers are there. */
  constructor(sizeBytes: number, key: string, expectedMac: () => string | undefined) {
    super({ highWaterMark: 256 * 1024 });
    this.#sizeBytes = sizeBytes;
    this.#mac = new StreamMac(key);
    this.#expectedMac = expectedMac;
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
    this.#digest.update(chunk); // first: what changes in this memory between the two does not pass the code
    this.#mac.update(chunk);
    const before = this.#held;
    this.#held = chunk;
    done(null, before.length === 0 ? undefined : before);
  }

  override _flush(done: TransformCallback): void {
    const expected = this.#expectedMac();
    const found = this.#mac.result();
    if (this.receivedBytes !== this.#sizeBytes) done(new OperationFailedError(`The image was announced with ${this.#sizeBytes} bytes, ${this.receivedBytes} came`));
    else if (expected === undefined) done(new InvalidParameterError('The image came without its authentication code (a trailer), which a proxy may have taken away: whether it is whole can not be known'));
    else if (expected.toLowerCase() !== found) done(new OperationFailedError(`The image has the authentication code ${found}, its sender says ${expected.slice(0, 64)}: it was changed on its way`));
    else {
      this.provenDigest = this.#digest.digest('hex');
      done(null, this.#held);
    }
  }
}
