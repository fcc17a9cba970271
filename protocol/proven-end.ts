import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { IMAGE_HASH_ALGO } from './image.ts';
import type { ProofMeter } from './image-proof.ts';
import { OperationFailedError } from './errors.ts';

export interface EndProof {
  meter: ProofMeter;
  /** Asked at the end with what the meter has found. @throws MetalshotError when the image is not what it should be. */
  check(found: string): void;
  /** Where the image's own digest (hex sha512) is needed: told it once the image is proven, and waited for. */
  onDigest?(sha512: string): Promise<void> | void;
}

/**
 * Passes an image on as it comes, all but its end: that follows only when length and proof are what the sender says. Whoever
 * writes to it a receiver that takes nothing incomplete (a file that is renamed at its end, an upload with a Content-Length)
 * commits by the last byte: whatever else happens, the receiver is destroyed without it.
 */
export class ProvenEnd extends Transform {
  /** Bytes of the image that have come so far. */
  receivedBytes = 0;
  readonly #sizeBytes: number;
  readonly #proof: EndProof;
  readonly #digest: ReturnType<typeof createHash> | null;
  #held: Buffer = Buffer.alloc(0);

  constructor(sizeBytes: number, proof: EndProof) {
    super({ highWaterMark: 256 * 1024 });
    this.#sizeBytes = sizeBytes;
    this.#proof = proof;
    this.#digest = proof.onDigest ? createHash(IMAGE_HASH_ALGO) : null;
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
    this.#digest?.update(chunk); // first: what changes in this memory between the two does not pass the proof
    this.#proof.meter.update(chunk);
    const before = this.#held;
    this.#held = chunk;
    done(null, before.length === 0 ? undefined : before);
  }

  override _flush(done: TransformCallback): void {
    this.#prove().then(() => done(null, this.#held), (error: Error) => done(error));
  }

  async #prove(): Promise<void> {
    if (this.receivedBytes !== this.#sizeBytes) throw new OperationFailedError(`The image was announced with ${this.#sizeBytes} bytes, ${this.receivedBytes} came`);
    this.#proof.check(this.#proof.meter.result());
    if (this.#digest) await this.#proof.onDigest?.(this.#digest.digest('hex'));
  }
}
