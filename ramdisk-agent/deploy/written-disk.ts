import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { messageOf } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import { describeDevice, type BlockDevice } from '../devices/block-device.ts';
import { PermanentFailure } from './permanent-failure.ts';

const MIB = 1024 ** 2;
/** What is withheld at the beginning of a disk until its content is proven: boot code, partition table, boot loader's core. */
export const HEAD_BYTES = MIB;
/** What is wiped at the end, and withheld where an image reaches there: the backup of a GPT, which firmware falls back on. */
export const TAIL_BYTES = MIB;
/** Without this sector-sized piece no firmware finds anything on the disk: it is the last one written. */
const FIRST_BYTES = 4096;
const SYNC_EVERY_BYTES = 64 * MIB;
/** From here on the device is asked to make the zeros: below it takes longer to start a program than to write them. */
export const LARGE_HOLE_BYTES = 32 * MIB;
/** In pieces, so that a stall can be told from a large hole. */
const HOLE_PIECE_BYTES = 256 * MIB;
const HOLE_TIMEOUT_MS = 60 * 60_000;
const PAGE_BYTES = 4096;
const ZEROS = Buffer.alloc(MIB);

/** A disk that is being overwritten, opened for us alone. Every failure of it is permanent. */
export class WrittenDisk {
  readonly device: BlockDevice;
  readonly #file: FileHandle;
  readonly #signal: AbortSignal;
  #sinceSyncBytes = 0;
  /** Set once the device has refused to make zeros by itself. */
  #plainZeros = false;

  private constructor(device: BlockDevice, file: FileHandle, signal: AbortSignal) {
    this.device = device;
    this.#file = file;
    this.#signal = signal;
  }

  /** Opens the disk, hands it to `use` and closes it on every path. @throws PermanentFailure when somebody else uses it. */
  static async using<T>(device: BlockDevice, signal: AbortSignal, use: (disk: WrittenDisk) => Promise<T>): Promise<T> {
    // O_EXCL of a block device: refused while anything of it is mounted or part of an array (open(2))
    const file = await open(device.name, constants.O_RDWR | constants.O_EXCL).catch((error: unknown) => {
      const hint = (error as NodeJS.ErrnoException).code === 'EBUSY' ? 'it is in use: something of it is mounted, or an array or volume group on it is active' : messageOf(error);
      throw new PermanentFailure(`${describeDevice(device)} cannot be opened for writing: ${hint}`, { device: device.name }, error);
    });
    try {
      return await use(new WrittenDisk(device, file, signal));
    } finally {
      await file.close();
    }
  }

  /** Zeros over the first and the last MiB, on stable storage when it resolves: nothing boots from this disk any more. */
  async wipeEnds(): Promise<void> {
    const { sizeBytes } = this.device;
    await this.#writeZeros(0, Math.min(HEAD_BYTES, sizeBytes));
    await this.sync();
    await this.#writeZeros(Math.max(0, sizeBytes - TAIL_BYTES), sizeBytes);
    await this.sync();
  }

  /** Writes at a position; now and then waits until the disk has it, so that the page cache does not fill up. */
  async write(bytes: Buffer, position: number): Promise<void> {
    this.#signal.throwIfAborted();
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
        if (bytesWritten === 0) throw new Error('the disk takes no more');
        done += bytesWritten;
      }
    } catch (error) {
      throw new PermanentFailure(`${this.device.name} could not be written at ${position}: ${messageOf(error)}`, { device: this.device.name }, error);
    }
    this.#sinceSyncBytes += bytes.length;
    if (this.#sinceSyncBytes >= SYNC_EVERY_BYTES) await this.sync();
  }

  /** Makes a range read as zeros. @param onProgress called after every piece with its size in bytes. */
  async zero(start: number, end: number, onProgress: (bytes: number) => void = () => undefined): Promise<void> {
    const [firstPage, lastPage] = [Math.ceil(start / PAGE_BYTES) * PAGE_BYTES, Math.floor(end / PAGE_BYTES) * PAGE_BYTES];
    let position = start;
    if (lastPage - firstPage >= LARGE_HOLE_BYTES) {
      await this.#writeZeros(start, firstPage, onProgress);
      await this.sync(); // the device must not meet pages of ours in the range that are still to be written
      position = firstPage;
      while (position < lastPage && !this.#plainZeros) {
        const length = Math.min(HOLE_PIECE_BYTES, lastPage - position);
        if (!(await this.#letDeviceZero(position, length))) break;
        position += length;
        onProgress(length);
      }
    }
    await this.#writeZeros(position, end, onProgress);
  }

  /** Writes the ends of the disk that were withheld, its very first bytes last and by themselves: only then is it one that boots. */
  async commit({ head, tail }: { head: Buffer; tail: Buffer }): Promise<void> {
    await this.write(tail, this.device.sizeBytes - tail.length);
    await this.write(head.subarray(FIRST_BYTES), FIRST_BYTES);
    await this.sync();
    await this.write(head.subarray(0, FIRST_BYTES), 0);
    await this.sync();
  }

  /** @throws PermanentFailure when the disk reports that it has lost something. */
  async sync(): Promise<void> {
    try {
      await this.#file.datasync();
    } catch (error) {
      throw new PermanentFailure(`${this.device.name} did not keep what was written: ${messageOf(error)}`, { device: this.device.name }, error);
    }
    this.#sinceSyncBytes = 0;
  }

  async #writeZeros(start: number, end: number, onProgress: (bytes: number) => void = () => undefined): Promise<void> {
    for (let position = start; position < end; ) {
      const length = Math.min(ZEROS.length, end - position);
      await this.write(ZEROS.subarray(0, length), position);
      position += length;
      onProgress(length);
    }
  }

  /** blkdiscard(8) --zeroout; --force, because it is us who hold the device. False when the device cannot. */
  async #letDeviceZero(offset: number, length: number): Promise<boolean> {
    const args = ['--force', '--zeroout', '--offset', String(offset), '--length', String(length), this.device.name];
    try {
      await runProgram('blkdiscard', args, { timeoutMs: HOLE_TIMEOUT_MS, signal: this.#signal, env: CHILD_ENVIRONMENT });
      return true;
    } catch {
      this.#signal.throwIfAborted();
      this.#plainZeros = true; // whatever its reason was, plain zeros do the same; if the disk is broken they tell
      return false;
    }
  }
}
