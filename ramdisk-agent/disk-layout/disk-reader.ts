import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

/** Reads pieces of a disk, read-only. */
export class DiskReader {
  readonly #file: FileHandle;
  readonly sizeBytes: number;

  private constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  /** Opens a disk, hands it to `use`, and closes it on every path. */
  static async using<T>(path: string, sizeBytes: number, use: (reader: DiskReader) => Promise<T>): Promise<T> {
    const file = await open(path, 'r');
    try {
      return await use(new DiskReader(file, sizeBytes));
    } finally {
      await file.close();
    }
  }

  /** Exactly `length` bytes from `offset`; zeros where the disk does not reach. */
  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const wanted = offset < 0 ? 0 : Math.min(length, this.sizeBytes - offset);
    for (let done = 0; done < wanted; ) {
      const { bytesRead } = await this.#file.read(bytes, done, wanted - done, offset + done); // may be less than asked for
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes;
  }
}

/** A piece of a disk that may hold a file system or a member of something larger. */
export interface Region {
  /** For people: "the whole disk" or "partition 2". */
  name: string;
  startBytes: number;
  sizeBytes: number;
}
