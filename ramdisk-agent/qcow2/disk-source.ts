import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import type { Extent } from './extents.ts';

/** What types for Node.js leave out. */
declare const WebAssembly: { Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } };

/** What a read that fails is narrowed down to: no disk loses less than a sector of 4 KiB. */
const SMALLEST_READ_BYTES = 4096;

export interface DiskSourceOptions {
  /** `zero`: what cannot be read becomes zeros, and every such range is recorded. */
  onReadError: 'fail' | 'zero';
}

/** A disk that is only read, range by range, through one descriptor. */
export class DiskSource {
  readonly device: string;
  /** What could not be read and is zeros in the image, in order. */
  readonly unreadable: Extent[] = [];
  /** Everything that was read so far, a second time too. */
  readBytes = 0;
  readonly #file: FileHandle;
  readonly #options: DiskSourceOptions;
  /** Past the page cache; open only once something could not be read. */
  #direct: DirectReads | null | undefined;
  /** One salvage at a time: they share a buffer. */
  #salvaging: Promise<void> = Promise.resolve();

  private constructor(device: string, file: FileHandle, options: DiskSourceOptions) {
    this.device = device;
    this.#file = file;
    this.#options = options;
  }

  static async open(device: string, options: DiskSourceOptions): Promise<DiskSource> {
    return new DiskSource(device, await open(device, 'r'), options);
  }

  async close(): Promise<void> {
    await this.#direct?.file.close();
    await this.#file.close();
  }

  /**
   * Exactly these bytes, in a buffer of the caller's own.
   * @throws OperationFailedError naming disk and range when they cannot be read, or when the disk ends before them.
   */
  async read(offsetBytes: number, sizeBytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(sizeBytes);
    await this.readInto(buffer, offsetBytes);
    return buffer;
  }

  /** The same into a buffer that is there already, to its end. */
  async readInto(buffer: Buffer, offsetBytes: number): Promise<void> {
    try {
      await this.#fill(buffer, offsetBytes);
    } catch (error) {
      if (this.#options.onReadError === 'fail' || !isReadError(error)) throw error;
      const salvage = this.#salvaging.then(() => this.#salvage(buffer, offsetBytes));
      this.#salvaging = salvage.catch(() => undefined); // who waits for this one is told
      await salvage;
    }
  }

  async #fill(buffer: Buffer, offsetBytes: number, file = this.#file): Promise<void> {
    for (let done = 0; done < buffer.length; ) {
      const { bytesRead } = await file.read(buffer, done, buffer.length - done, offsetBytes + done).catch((error: unknown) => {
        throw new OperationFailedError(`${this.device} cannot be read at ${offsetBytes + done} (of ${buffer.length - done} bytes): ${messageOf(error)}`, { code: (error as NodeJS.ErrnoException).code ?? null }, error);
      });
      if (bytesRead === 0) throw new OperationFailedError(`${this.device} ends at ${offsetBytes + done}: expected ${buffer.length - done} bytes more; it has become smaller`);
      done += bytesRead;
      this.readBytes += bytesRead;
    }
  }

  /** Reads again in the smallest pieces; those that fail stay zeros. */
  async #salvage(buffer: Buffer, offsetBytes: number): Promise<void> {
    buffer.fill(0);
    this.#direct ??= await openDirect(this.device);
    for (let at = 0; at < buffer.length; at += SMALLEST_READ_BYTES) {
      const sizeBytes = Math.min(SMALLEST_READ_BYTES, buffer.length - at);
      const piece = this.#direct?.buffer.subarray(0, sizeBytes) ?? Buffer.alloc(sizeBytes);
      try {
        await this.#fill(piece, offsetBytes + at, this.#direct?.file);
        piece.copy(buffer, at);
      } catch (error) {
        if (!isReadError(error)) throw error;
        this.#note(offsetBytes + at, piece.length);
      }
    }
  }

  #note(offsetBytes: number, sizeBytes: number): void {
    const before = this.unreadable.at(-1);
    if (before && before.offsetBytes + before.sizeBytes === offsetBytes) before.sizeBytes += sizeBytes;
    else if (!this.unreadable.some((range) => range.offsetBytes <= offsetBytes && offsetBytes < range.offsetBytes + range.sizeBytes)) this.unreadable.push({ offsetBytes, sizeBytes });
  }
}

interface DirectReads {
  file: FileHandle;
  buffer: Buffer;
}

/**
 * The page cache reads far more than it is asked for, and a bad sector takes all of that with it: what is left around one is
 * read directly. That needs a buffer at a page's begin, which a WebAssembly memory is. Null: this is no place for direct reads.
 */
async function openDirect(device: string): Promise<DirectReads | null> {
  try {
    return { file: await open(device, constants.O_RDONLY | constants.O_DIRECT), buffer: Buffer.from(new WebAssembly.Memory({ initial: 1 }).buffer) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return null;
    throw error;
  }
}

const isReadError = (error: unknown): boolean => error instanceof OperationFailedError && ['EIO', 'EREMOTEIO', 'ENODATA', 'EILSEQ'].includes(String(error.data['code']));
