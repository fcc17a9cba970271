import { constants } from 'node:fs';
import { allocatePages, DIRECT_BLOCK_BYTES, DirectFile } from '../../protocol/direct-io.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import type { Extent } from './extents.ts';

/** What a disk of any size is read with. */
const MEMORY_BYTES = 16 * 1024 ** 2;

export interface DiskSourceOptions {
  /** `zero`: what cannot be read becomes zeros, and every such range is recorded. */
  onReadError: 'fail' | 'zero';
}

/** A disk that is only read, range by range, and past the page cache: that would fill a small ramdisk with what is read once. */
export class DiskSource {
  readonly device: string;
  /** What reads go into, in whatever pieces: it begins at a page's begin. */
  readonly memory: Buffer;
  /** What could not be read and is zeros in the image: as it was met, and again when it was read again. */
  readonly unreadable: Extent[] = [];
  /** Everything that was read so far, a second time too. */
  readBytes = 0;
  readonly #disk: DirectFile;
  readonly #options: DiskSourceOptions;

  private constructor(device: string, disk: DirectFile, memory: Buffer, options: DiskSourceOptions) {
    this.device = device;
    this.memory = memory;
    this.#disk = disk;
    this.#options = options;
  }

  static async open(device: string, options: DiskSourceOptions): Promise<DiskSource> {
    const memory = allocatePages(MEMORY_BYTES); // throws where there is none: before anything is open
    return new DiskSource(device, await DirectFile.open(device, constants.O_RDONLY), memory, options);
  }

  async close(): Promise<void> {
    await this.#disk.close();
  }

  /**
   * Exactly these bytes of the disk into a part of `memory`, to its end.
   * @param offsetBytes and the part's length: of whole sectors, but for the disk's end.
   * @throws OperationFailedError naming disk and range when they cannot be read, or when the disk ends before them; the signal's reason.
   */
  async readInto(part: Buffer, offsetBytes: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#fill(part, offsetBytes);
    } catch (error) {
      if (this.#options.onReadError === 'fail' || !isReadError(error)) throw error;
      await this.#salvage(part, offsetBytes, signal);
    }
  }

  async #fill(part: Buffer, offsetBytes: number): Promise<void> {
    for (let done = 0; done < part.length; ) {
      const bytesRead = await this.#disk.read(part.subarray(done), offsetBytes + done).catch((error: unknown) => {
        throw new OperationFailedError(`${this.device} cannot be read at ${offsetBytes + done} (of ${part.length - done} bytes): ${messageOf(error)}`, { code: (error as NodeJS.ErrnoException).code ?? null }, error);
      });
      if (bytesRead === 0) throw new OperationFailedError(`${this.device} ends at ${offsetBytes + done}: expected ${part.length - done} bytes more; it has become smaller`);
      done += bytesRead;
      this.readBytes += bytesRead;
    }
  }

  /** Reads again in the smallest pieces; those that fail stay zeros. (Through a page cache a bad sector would take all that is read ahead with it.) */
  async #salvage(part: Buffer, offsetBytes: number, signal: AbortSignal): Promise<void> {
    part.fill(0);
    for (let at = 0; at < part.length; at += DIRECT_BLOCK_BYTES) {
      signal.throwIfAborted(); // each bad sector takes seconds
      const piece = part.subarray(at, at + DIRECT_BLOCK_BYTES);
      try {
        await this.#fill(piece, offsetBytes + at);
      } catch (error) {
        if (!isReadError(error)) throw error;
        piece.fill(0);
        this.#note(offsetBytes + at, piece.length);
      }
    }
  }

  #note(offsetBytes: number, sizeBytes: number): void {
    const last = this.unreadable.at(-1);
    if (last && last.offsetBytes + last.sizeBytes === offsetBytes) last.sizeBytes += sizeBytes;
    else this.unreadable.push({ offsetBytes, sizeBytes });
  }
}

const isReadError = (error: unknown): boolean => error instanceof OperationFailedError && ['EIO', 'EREMOTEIO', 'ENODATA', 'EILSEQ'].includes(String(error.data['code']));
