import type { DiskStreamHeader, DiskStreamPart } from '../../protocol/disk-stream.ts';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { BootMode } from '../../protocol/inventory.ts';
import { ensureSuitable } from './image-head.ts';
import { PermanentFailure } from './permanent-failure.ts';
import { HEAD_BYTES, LARGE_HOLE_BYTES, TAIL_BYTES, type WrittenDisk } from './written-disk.ts';

const BATCH_BYTES = 1024 ** 2;

export interface WritingOptions {
  virtualSizeBytes: number;
  bootMode: BootMode;
  /** Called once, before the first byte of the disk changes. */
  onTouch(): void;
  /** Bytes of the disk that are as the image has them, data or zeros, those withheld included. */
  onProgress(bytesDone: number): void;
}

/** What has been received and proven: on the disk but for the withheld ends, and for large holes, which still hold old data. */
export interface ReceivedImage {
  head: Buffer;
  /** Empty unless the image reaches to the end of the disk. */
  tail: Buffer;
  /** From `start` to before `end`, in bytes. */
  holes: readonly { start: number; end: number }[];
  bytesWritten: number;
  sha512: string;
}

/**
 * Writes everything of a disk stream but what is at the ends of the disk (the first MiB, and the last, where a backup of the
 * partition table would be); they are returned once the digest has proven the whole. The disk's own ends are wiped before
 * anything else. Large holes are left for `settleHoles`: to make their zeros may take long, and the sender would take us for dead.
 * @throws PermanentFailure, before a byte is written, when the image is not the announced one or cannot boot this machine.
 */
export async function writeImage(parts: AsyncIterable<DiskStreamPart>, disk: WrittenDisk, options: WritingOptions): Promise<ReceivedImage> {
  const writing = new ImageWriting(disk, options);
  for await (const part of parts) {
    if (part.type === 'header') writing.begin(part.header);
    else if (part.type === 'data') await writing.take(part.bytes, part.offsetBytes);
    else if (part.type === 'end') return { ...(await writing.finish()), sha512: part.sha512 };
  }
  throw new OperationFailedError('the disk stream ended early');
}

/** Makes the large holes zeros; after that all of the image but its ends is on stable storage. */
export async function settleHoles({ holes }: ReceivedImage, disk: WrittenDisk, { virtualSizeBytes, onProgress }: Pick<WritingOptions, 'virtualSizeBytes' | 'onProgress'>): Promise<void> {
  let settledBytes = holes.reduce((rest, { start, end }) => rest - (end - start), virtualSizeBytes);
  onProgress(settledBytes);
  for (const { start, end } of holes) {
    await disk.zero(start, end, (bytes) => {
      settledBytes += bytes;
      onProgress(settledBytes);
    });
  }
  await disk.sync();
}

class ImageWriting {
  readonly #disk: WrittenDisk;
  readonly #options: WritingOptions;
  readonly #head: Buffer;
  readonly #tail: Buffer;
  /** Where the tail begins in the image. */
  readonly #tailStart: number;
  readonly #holes: { start: number; end: number }[] = [];
  #receivedBytes = 0;
  #headBytes = 0;
  #tailBytes = 0;
  #settledBytes = 0;
  #touched = false;
  /** The disk is done up to here, but for holes, and the batch included. */
  #position: number;
  #batch: Buffer[] = [];
  #batchBytes = 0;

  constructor(disk: WrittenDisk, options: WritingOptions) {
    const { virtualSizeBytes } = options;
    this.#disk = disk;
    this.#options = options;
    this.#head = Buffer.alloc(Math.min(HEAD_BYTES, virtualSizeBytes));
    this.#tail = Buffer.alloc(virtualSizeBytes === disk.device.sizeBytes ? Math.min(TAIL_BYTES, virtualSizeBytes - this.#head.length) : 0);
    this.#tailStart = virtualSizeBytes - this.#tail.length;
    this.#position = this.#head.length;
  }

  begin(header: DiskStreamHeader): void {
    const { virtualSizeBytes } = this.#options;
    if (header.virtualSizeBytes !== virtualSizeBytes) throw new PermanentFailure(`expected the image of a disk of ${virtualSizeBytes} bytes, found one of ${header.virtualSizeBytes}`);
    this.#settled(0);
  }

  async take(bytes: Buffer, offsetBytes: number): Promise<void> {
    const within = (position: number): number => Math.max(0, Math.min(bytes.length, position - offsetBytes));
    const [headEnd, tailStart] = [within(this.#head.length), within(this.#tailStart)];
    bytes.copy(this.#head, offsetBytes, 0, headEnd);
    this.#headBytes += headEnd;
    if (headEnd < tailStart) await this.#put(bytes.subarray(headEnd, tailStart), offsetBytes + headEnd);
    if (tailStart < bytes.length) {
      await this.#skipTo(this.#tailStart);
      bytes.copy(this.#tail, offsetBytes + tailStart - this.#tailStart, tailStart);
      this.#tailBytes += bytes.length - tailStart;
    }
    this.#receivedBytes += bytes.length;
    this.#settled(bytes.length);
  }

  /** The stream has been proven: what follows its last frame is a hole too. */
  async finish(): Promise<Pick<ReceivedImage, 'head' | 'tail' | 'holes' | 'bytesWritten'>> {
    await this.#skipTo(this.#tailStart);
    await this.#disk.sync();
    this.#settled(this.#tail.length - this.#tailBytes);
    return { head: this.#head, tail: this.#tail, holes: this.#holes, bytesWritten: this.#receivedBytes };
  }

  async #put(bytes: Buffer, offsetBytes: number): Promise<void> {
    if (offsetBytes !== this.#position) await this.#skipTo(offsetBytes);
    await this.#touch();
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    this.#position += bytes.length;
    if (this.#batchBytes >= BATCH_BYTES) await this.#flush();
  }

  async #skipTo(offsetBytes: number): Promise<void> {
    await this.#touch();
    await this.#flush();
    const hole = { start: this.#position, end: offsetBytes };
    if (hole.end - hole.start >= LARGE_HOLE_BYTES) this.#holes.push(hole);
    else if (hole.end > hole.start) await this.#disk.zero(hole.start, hole.end, (bytes) => this.#settled(bytes));
    this.#position = offsetBytes;
  }

  async #flush(): Promise<void> {
    if (this.#batchBytes > 0) await this.#disk.write(Buffer.concat(this.#batch), this.#position - this.#batchBytes);
    this.#batch = [];
    this.#batchBytes = 0;
  }

  /** Data come in ascending order: the head is complete when anything behind it is to be written. */
  async #touch(): Promise<void> {
    if (this.#touched) return;
    ensureSuitable(this.#head, { sectorSizeBytes: this.#disk.device.sectorSizeBytes, bootMode: this.#options.bootMode });
    this.#options.onTouch();
    this.#touched = true;
    await this.#disk.wipeEnds();
    this.#settled(this.#head.length - this.#headBytes); // the rest of the head is zeros
  }

  #settled(bytes: number): void {
    this.#settledBytes += bytes;
    this.#options.onProgress(this.#settledBytes);
  }
}
