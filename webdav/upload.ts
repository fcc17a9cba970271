import { createHash, randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { OperationFailedError } from '../protocol/errors.ts';
import { FileWriter } from '../protocol/file-writer.ts';
import { IMAGE_HASH_ALGO } from '../protocol/image.ts';
import { InsufficientStorageError } from './refusals.ts';
import { syncDirectory } from './sync-directory.ts';

/** So often the room that is left is looked at. */
const CHECKPOINT_BYTES = 32 * 1024 * 1024;
/** Taken from the socket before it is told to wait, besides what the writer holds. */
const BUFFER_BYTES = 256 * 1024;
export const TEMPORARY_PREFIX = '.upload-';

export interface UploadOptions {
  /** Of the snapshot, on the spool. */
  directory: string;
  /** Final name. */
  name: string;
  /** From Content-Length; null: chunked. */
  declaredBytes: number | null;
  /** Milliseconds without a byte from the client after which the upload is cut. */
  idleTimeoutMs: number;
  /** Called before every piece is written. @throws InsufficientStorageError */
  admit(): void;
  /** Called before the first byte and at every checkpoint. @throws InsufficientStorageError */
  requireRoom(): Promise<void>;
  /** Whether what comes is digested. */
  isDigested: boolean;
  /** The file stands under its final name; its digest (hex) where it was made. */
  committed(sizeBytes: number, sha512: string | null): void;
  /** The connection has to be closed: nobody reads from it any more. */
  cut(): void;
  /** Everything is let go of; called once on every path. */
  released(): void;
}

/**
 * The body of one PUT on its way into a file: a temporary file of its own, synced and renamed at the end of the body. Until
 * then the old file of that name stands; whatever else happens (abort, quota, full disk, idle client), the temporary file
 * is removed and closed. `finish` is emitted after the directory entry is on the disk.
 */
export class Upload extends Writable {
  /** Bytes taken so far. */
  writtenBytes = 0;
  /** Of the finished file; null until `finish`. */
  stats: Stats | null = null;
  /** Resolved once file and descriptor are gone or committed; never rejected. */
  readonly settled: Promise<void>;
  readonly #options: UploadOptions;
  readonly #temporary: string;
  readonly #idleTimer: NodeJS.Timeout;
  readonly #digest = createHash(IMAGE_HASH_ALGO);
  #settle: () => void = () => undefined;
  #file: FileWriter | undefined;
  #checkedBytes = 0;
  #isWriting = false;
  #finishing: Promise<void> | undefined;

  constructor(options: UploadOptions) {
    super({ highWaterMark: BUFFER_BYTES });
    this.#options = options;
    this.#temporary = join(options.directory, `${TEMPORARY_PREFIX}${randomBytes(12).toString('hex')}`);
    this.settled = new Promise((resolve) => (this.#settle = resolve));
    this.#idleTimer = setTimeout(() => this.#stopWhenIdle(), options.idleTimeoutMs);
  }

  get name(): string {
    return this.#options.name;
  }

  /** Bytes that this upload takes of the quota: those it has announced, or those it has brought. */
  get claimedBytes(): number {
    return Math.max(this.#options.declaredBytes ?? 0, this.writtenBytes);
  }

  /** Ends the upload from our side and closes its connection. */
  stop(reason: string): void {
    this.#options.cut();
    this.destroy(new OperationFailedError(`Upload of ${this.name} stopped: ${reason}`));
  }

  override _construct(done: (error?: Error | null) => void): void {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
    const start = async (): Promise<void> => {
      this.#file = await FileWriter.open(this.#temporary, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
    };
    settleWith(start(), done);
  }

  override _writev(pieces: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    settleWith(this.#append(pieces.map((piece) => piece.chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finishing = this.#finish();
    settleWith(this.#finishing, done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#idleTimer);
    const release = async (): Promise<void> => {
      await this.#finishing?.catch(() => undefined); // its failure is what destroys us, and is already told
      await this.#file?.close();
      await rm(this.#temporary, { force: true });
    };
    const end = (failure: Error | null): void => {
      this.#options.released();
      this.#settle();
      done(failure);
    };
    release().then(() => end(error), (failure: Error) => end(error ?? failure));
  }

  /** A slow disk is not an idle client. */
  #stopWhenIdle(): void {
    if (this.#isWriting) this.#idleTimer.refresh();
    else this.stop(`no byte came for ${this.#options.idleTimeoutMs / 1_000} s`);
  }

  async #append(chunks: Buffer[]): Promise<void> {
    this.#isWriting = true;
    this.writtenBytes += chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#options.admit();
    for (const chunk of chunks) {
      if (this.#options.isDigested) this.#digest.update(chunk);
      await this.#openFile.append(chunk);
    }
    if (this.writtenBytes - this.#checkedBytes >= CHECKPOINT_BYTES) {
      this.#checkedBytes = this.writtenBytes;
      await this.#options.requireRoom();
    }
    this.#isWriting = false;
    this.#idleTimer.refresh();
  }

  async #finish(): Promise<void> {
    const { declaredBytes, directory, name, isDigested } = this.#options;
    clearTimeout(this.#idleTimer);
    if (declaredBytes !== null && declaredBytes !== this.writtenBytes) {
      throw new OperationFailedError(`Upload of ${name}: ${declaredBytes} bytes were announced, ${this.writtenBytes} came`);
    }
    const stats = await this.#openFile.finish();
    if (this.destroyed) throw new OperationFailedError(`Upload of ${name} was stopped`);
    await rename(this.#temporary, join(directory, name));
    this.#options.committed(this.writtenBytes, isDigested ? this.#digest.digest('hex') : null);
    await syncDirectory(directory);
    this.stats = stats;
  }

  get #openFile(): FileWriter {
    if (!this.#file) throw new OperationFailedError(`Upload of ${this.name}: the temporary file is not open`);
    return this.#file;
  }
}

/** Streams want callbacks; a full disk is told as what it is. */
function settleWith(work: Promise<void>, done: (error?: Error | null) => void): void {
  work.then(
    () => done(),
    (error: NodeJS.ErrnoException) => {
      const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT';
      done(isFull ? new InsufficientStorageError('The file system of the spool is full. Free space in it.', {}, error) : error);
    },
  );
}
