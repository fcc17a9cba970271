import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/** What types for Node.js leave out. */
declare const WebAssembly: { Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } };

/** Places, lengths and memory of direct reads and writes are multiples of this: no disk and no file system asks for more. */
export const DIRECT_BLOCK_BYTES = 4096;
const WASM_PAGE_BYTES = 64 * 1024;

/**
 * Memory that begins at a page's begin, as direct reads and writes want it and no Buffer promises: the memory of a WebAssembly
 * module that there is none of.
 * @param sizeBytes rounded up to 64 KiB.
 */
export const allocatePages = (sizeBytes: number): Buffer => Buffer.from(new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / WASM_PAGE_BYTES) }).buffer);

/**
 * A file or disk that is read or written past the page cache (O_DIRECT), which would only copy, at a processor's cost, and drive
 * everything else out. Where the file system knows no such access, or not to this place, the ordinary one does the same.
 */
export class DirectFile {
  readonly #path: string;
  readonly #flags: number;
  readonly #file: FileHandle;
  readonly #isDirect: boolean;
  #ordinary: Promise<FileHandle> | undefined;

  private constructor(path: string, flags: number, file: FileHandle, isDirect: boolean) {
    this.#path = path;
    this.#flags = flags;
    this.#file = file;
    this.#isDirect = isDirect;
  }

  /** @param flags of `open`, as `fs.constants` has them. */
  static async open(path: string, flags: number, mode?: number): Promise<DirectFile> {
    const again = flags & ~constants.O_EXCL; // the refused attempt may have made the file
    const later = again & ~constants.O_TRUNC;
    try {
      return new DirectFile(path, later, await open(path, flags | constants.O_DIRECT, mode), true);
    } catch (error) {
      if (!isRefused(error)) throw error;
      return new DirectFile(path, later, await open(path, again, mode), false);
    }
  }

  /** Whether what is written is on its way to the disk, rather than in the page cache. */
  get isDirect(): boolean {
    return this.#isDirect && this.#ordinary === undefined;
  }

  /** Some of the wanted bytes, none at the file's end. @param into part of `allocatePages`. @returns bytes read. */
  async read(into: Buffer, offsetBytes: number): Promise<number> {
    return (await this.#byEither((file) => file.read(into, 0, into.length, offsetBytes))).bytesRead;
  }

  /** Some of the bytes. @param from part of `allocatePages`. @returns bytes written. */
  async write(from: Buffer, offsetBytes: number): Promise<number> {
    return (await this.#byEither((file) => file.write(from, 0, from.length, offsetBytes))).bytesWritten;
  }

  /** The descriptor for everything but reads and writes. */
  get file(): FileHandle {
    return this.#file;
  }

  async close(): Promise<void> {
    try {
      await this.#file.close();
    } finally {
      await (await this.#ordinary?.catch(() => undefined))?.close(); // one that did not open was told to its user
    }
  }

  async #byEither<T>(access: (file: FileHandle) => Promise<T>): Promise<T> {
    try {
      return await access(this.#file);
    } catch (error) {
      if (!this.#isDirect || !isRefused(error)) throw error;
    }
    this.#ordinary ??= open(this.#path, this.#flags).catch((error: unknown) => {
      this.#ordinary = undefined; // the next one may open
      throw error;
    });
    return access(await this.#ordinary);
  }
}

const isRefused = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EINVAL';
