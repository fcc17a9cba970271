import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { IMAGE_HASH_ALGO, type Image } from '../../../protocol/image.ts';
import { CommandFailure, EXIT } from '../../exit-code.ts';

/** Without a byte for so long a transfer is given up: large images have no limit for the whole. */
const STALL_TIMEOUT_MS = 120_000;

/** Aborts its signal when nothing has moved for a while. To be stopped on every path. */
export class StallWatch {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.timer = setTimeout(() => this.controller.abort(), STALL_TIMEOUT_MS);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  touch(): void {
    this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  failure(what: string, cause: unknown): CommandFailure {
    return new CommandFailure(EXIT.unavailable, `the ${what} stalled: nothing moved for ${STALL_TIMEOUT_MS / 1000} s`, cause);
  }
}

/** Passes bytes on, counts and digests them. With an expected size it fails at the end when another number passed. */
export class TransferMeter extends Transform {
  sizeBytes = 0;
  private readonly hash: Hash = createHash(IMAGE_HASH_ALGO);
  private readonly watch: StallWatch;
  private readonly expectedBytes: number | undefined;

  constructor(watch: StallWatch, expectedBytes?: number) {
    super();
    this.watch = watch;
    this.expectedBytes = expectedBytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.watch.touch();
    this.sizeBytes += chunk.length;
    this.hash.update(chunk);
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    const whole = this.expectedBytes === undefined || this.sizeBytes === this.expectedBytes;
    done(whole ? null : new Error(`it changed meanwhile: ${this.sizeBytes} bytes instead of ${this.expectedBytes}`));
  }

  /** Hex sha512 of what passed; to be asked once, at the end. */
  digest(): string {
    return this.hash.digest('hex');
  }
}

/** @throws CommandFailure (1) unless the image's own size and sha512 are those of the bytes that passed. */
export function confirmTransfer(image: Image, sizeBytes: number, digest: string): void {
  const wrong: string[] = [];
  if (image.size !== null && image.size !== sizeBytes) wrong.push(`the image service counts ${image.size} bytes, ${sizeBytes} passed here`);
  if (image.os_hash_algo === IMAGE_HASH_ALGO && image.os_hash_value !== digest) wrong.push(`its ${IMAGE_HASH_ALGO} is ${image.os_hash_value}, here it is ${digest}`);
  if (image.os_hash_algo !== IMAGE_HASH_ALGO) wrong.push(`it has no ${IMAGE_HASH_ALGO} to compare with (${image.os_hash_algo ?? 'none'})`);
  if (wrong.length > 0) throw new CommandFailure(EXIT.operationFailed, `image ${image.id} is not what was transferred: ${wrong.join('; ')}`);
}
