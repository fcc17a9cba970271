import { open, type FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { InvalidParameterError } from '../../protocol/errors.ts';

/** Runs of zeros of this size become holes. */
const BLOCK_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(BLOCK_BYTES);
/** What is gathered before it is written. */
const PORTION_BYTES = 16 * BLOCK_BYTES;

/** A new file that takes no room for blocks of zeros; on the disk once it has finished. */
export class SparseFile extends Writable {
  readonly #path: string;
  readonly #maxBytes: number;
  #file: FileHandle | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #position = 0;

  /** @param maxBytes more ends it with an InvalidParameterError. */
  constructor(path: string, maxBytes: number) {
    super({ highWaterMark: PORTION_BYTES });
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Ends it, if nobody has, and resolves once the file is closed. */
  async settled(): Promise<void> {
    this.destroy();
    if (!this.closed) await new Promise<void>((resolve) => this.once('close', () => resolve()));
  }

  override _construct(callback: (error?: Error | null) => void): void {
    open(this.#path, 'wx', 0o600).then(
      (file) => {
        this.#file = file;
        callback();
      },
      (error: Error) => callback(error),
    );
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#position + this.#pendingBytes > this.#maxBytes) callback(new InvalidParameterError(`The image is larger than deploy.max_image_bytes (${this.#maxBytes} bytes).`, { maxBytes: this.#maxBytes }));
    else if (this.#pendingBytes < PORTION_BYTES) callback();
    else settle(this.#writePending(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    settle(this.#finish(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) callback(error);
    else file.close().then(() => callback(error), (closing: Error) => callback(error ?? closing));
  }

  async #finish(): Promise<void> {
    await this.#writePending();
    await this.#opened().truncate(this.#position); // the last blocks may be a hole
    await this.#opened().sync();
  }

  async #writePending(): Promise<void> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    for (let from = 0; from < bytes.length; ) {
      let to = from;
      while (to < bytes.length && !isZeros(bytes.subarray(to, to + BLOCK_BYTES))) to = Math.min(to + BLOCK_BYTES, bytes.length);
      if (to > from) await this.#writeAt(bytes.subarray(from, to), this.#position + from);
      from = Math.max(to, from);
      while (from < bytes.length && isZeros(bytes.subarray(from, from + BLOCK_BYTES))) from = Math.min(from + BLOCK_BYTES, bytes.length);
    }
    this.#position += bytes.length;
  }

  async #writeAt(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += (await this.#opened().write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }

  #opened(): FileHandle {
    if (this.#file === undefined) throw new Error(`${this.#path} is closed`);
    return this.#file;
  }
}

const isZeros = (bytes: Buffer): boolean => bytes.equals(ZEROS.subarray(0, bytes.length));

const settle = (work: Promise<void>, callback: (error?: Error | null) => void): void => void work.then(() => callback(), (error: Error) => callback(error));
