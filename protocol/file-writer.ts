import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { allocatePages, DIRECT_BLOCK_BYTES, DirectFile } from './direct-io.ts';
import { OperationFailedError } from './errors.ts';

/** One is filled while the other is written. */
const HALF_BYTES = 1024 * 1024;
/** Brought to the disk in steps of this size, so that the last one is short (davfs2 waits 30 s for an answer): whether past the page cache or through it is not always told. */
const SYNC_BYTES = 32 * 1024 * 1024;
/** Of writers that have ended: as much as was ever needed at once, and no garbage. */
const spareMemory: Buffer[] = [];

/** Writes a file from its begin to its end, in large pieces and past the page cache. It holds 2 MiB, whatever comes. */
export class FileWriter {
  readonly #target: DirectFile;
  readonly #memory: Buffer;
  #half = 0;
  /** Of the half that is being filled. */
  #filledBytes = 0;
  #writtenBytes = 0;
  #unsyncedBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(target: DirectFile, memory: Buffer) {
    this.#target = target;
    this.#memory = memory;
  }

  /** @param flags of `open`, as `fs.constants` has them; the file has to be empty then. */
  static async open(path: string, flags: number, mode: number): Promise<FileWriter> {
    const memory = spareMemory.pop() ?? allocatePages(2 * HALF_BYTES); // throws where there is none: before anything is open
    try {
      return new FileWriter(await DirectFile.open(path, flags, mode), memory);
    } catch (error) {
      spareMemory.push(memory);
      throw error;
    }
  }

  /** Takes the bytes, once there is room for them. @throws what an earlier write has met: ENOSPC and the like. */
  async append(chunk: Buffer): Promise<void> {
    this.#requireOpen();
    for (let taken = 0; taken < chunk.length; ) {
      const copied = chunk.copy(this.#memory, this.#half * HALF_BYTES + this.#filledBytes, taken, taken + HALF_BYTES - this.#filledBytes);
      taken += copied;
      this.#filledBytes += copied;
      if (this.#filledBytes === HALF_BYTES) await this.#turnOver();
    }
  }

  /** Brings everything to the disk. */
  async finish(): Promise<Stats> {
    await this.#writing;
    this.#requireOpen();
    const sizeBytes = this.#writtenBytes + this.#filledBytes;
    const start = this.#half * HALF_BYTES;
    const wholeBlocks = Math.ceil(this.#filledBytes / DIRECT_BLOCK_BYTES) * DIRECT_BLOCK_BYTES;
    const end = start + (this.#target.isDirect ? wholeBlocks : this.#filledBytes);
    await this.#write(this.#memory.subarray(start, end), this.#writtenBytes);
    await this.#file.truncate(sizeBytes); // what fills the last block is not the file's
    await this.#file.sync();
    return this.#file.stat();
  }

  /** Lets go of everything; what was not finished is not whole. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing.catch(() => undefined); // told by `append` or `finish`, or nobody waits for it any more
    try {
      await this.#target.close();
    } finally {
      spareMemory.push(this.#memory);
    }
  }

  async #turnOver(): Promise<void> {
    const start = this.#half * HALF_BYTES;
    await this.#writing;
    this.#requireOpen();
    this.#writing = this.#write(this.#memory.subarray(start, start + HALF_BYTES), this.#writtenBytes);
    this.#writing.catch(() => undefined); // told with the next half
    this.#writtenBytes += HALF_BYTES;
    this.#filledBytes = 0;
    this.#half = 1 - this.#half;
  }

  async #write(piece: Buffer, offsetBytes: number): Promise<void> {
    for (let done = 0; done < piece.length; ) done += await this.#target.write(piece.subarray(done), offsetBytes + done);
    this.#unsyncedBytes += piece.length;
    if (this.#unsyncedBytes < SYNC_BYTES) return;
    await this.#file.datasync();
    this.#unsyncedBytes = 0;
  }

  /** Once it is closed its memory is another's. */
  #requireOpen(): void {
    if (this.#isClosed) throw new OperationFailedError('the file was closed while it was written');
  }

  get #file(): FileHandle {
    return this.#target.file;
  }
}
