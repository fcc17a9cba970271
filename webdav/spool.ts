import { mkdir, statfs } from 'node:fs/promises';
import { InsufficientStorageError } from './refusals.ts';

/**
 * The file system that all snapshots' directories share: how much it has free, what is promised to uploads of known length
 * and not written yet, and the reserve that stays free.
 */
export class Spool {
  readonly directory: string;
  readonly #reserveBytes: number;
  #promisedBytes = 0;

  constructor(directory: string, reserveBytes: number) {
    this.directory = directory;
    this.#reserveBytes = reserveBytes;
  }

  /** Makes the directory where it is missing, for our user only. */
  async make(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
  }

  /** Bytes that the file system has free for us. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory);
    return bavail * bsize;
  }

  /** Bytes of them that nobody was promised; less than none where the file system has lost more than it was asked for. */
  async unpromisedBytes(): Promise<number> {
    return (await this.freeBytes()) - this.#promisedBytes;
  }

  /** @throws InsufficientStorageError when `bytes` more would leave less than the reserve. */
  async requireRoom(bytes: number): Promise<void> {
    const freeBytes = await this.freeBytes();
    const leftBytes = freeBytes - this.#promisedBytes - bytes;
    if (leftBytes >= this.#reserveBytes) return;
    throw new InsufficientStorageError(
      `The spool has ${freeBytes} bytes free; ${bytes} more, with ${this.#promisedBytes} promised to other uploads, would leave less than its reserve of ` +
        `${this.#reserveBytes}. Free space in the spool's file system.`,
      { freeBytes, promisedBytes: this.#promisedBytes, reserveBytes: this.#reserveBytes },
    );
  }

  /** Takes (or, negative, gives back) bytes that are going to be written. */
  promise(bytes: number): void {
    this.#promisedBytes += bytes;
  }
}
