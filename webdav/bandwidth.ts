import { Transform, type TransformCallback } from 'node:stream';

/** What may come at once after a pause: as much as would have come in this time. */
const BURST_MS = 100;

/**
 * A token bucket. Who takes bytes is told how long to wait before the next; those who share it wait in the order in which
 * they took, so that each gets its part.
 */
export class TokenBucket {
  readonly #bytesPerMs: number;
  /** When everything that was taken so far is paid for. */
  #paidAt = -Infinity;

  constructor(bytesPerS: number) {
    this.#bytesPerMs = bytesPerS / 1_000;
  }

  /** @returns milliseconds to wait from `now` (of the same clock) on. */
  take(bytes: number, now: number): number {
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + bytes / this.#bytesPerMs;
    return Math.max(0, this.#paidAt - now);
  }
}

/** Passes on what it gets no faster than all its buckets allow. It holds one piece: who writes to it waits meanwhile. */
export class Throttle extends Transform {
  readonly #buckets: readonly TokenBucket[];
  #timer: NodeJS.Timeout | undefined;

  constructor(buckets: readonly TokenBucket[]) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#buckets = buckets;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const now = performance.now();
    const waitMs = Math.max(0, ...this.#buckets.map((bucket) => bucket.take(chunk.length, now)));
    if (waitMs < 1) done(null, chunk);
    else this.#timer = setTimeout(() => done(null, chunk), waitMs);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }
}

/** The limits of a share: one bucket for all streams, and one for each who has them. */
export class Bandwidth {
  readonly #all: TokenBucket | null;
  readonly #bytesPerSOfOne: number | undefined;
  readonly #own = new WeakMap<object, TokenBucket>();

  /** @param bytesPerS of all together, and of each; absent: no limit. */
  constructor(bytesPerS: number | undefined, bytesPerSOfOne: number | undefined) {
    this.#all = bytesPerS === undefined ? null : new TokenBucket(bytesPerS);
    this.#bytesPerSOfOne = bytesPerSOfOne;
  }

  bucketsOf(owner: object): TokenBucket[] {
    return [this.#all, this.#ownOf(owner)].filter((bucket) => bucket !== null);
  }

  #ownOf(owner: object): TokenBucket | null {
    if (this.#bytesPerSOfOne === undefined) return null;
    const bucket = this.#own.get(owner) ?? new TokenBucket(this.#bytesPerSOfOne);
    this.#own.set(owner, bucket);
    return bucket;
  }
}
