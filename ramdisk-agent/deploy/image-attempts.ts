import { setTimeout as pause } from 'node:timers/promises';
import type { WriteImageParams } from '../../protocol/deploy-commands.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { ProgressClock } from '../progress-clock.ts';
import { downloadImage } from './image-download.ts';
import { settleHoles, writeImage, type ReceivedImage, type WritingOptions } from './image-writing.ts';
import { PermanentFailure, UnreachableFailure } from './permanent-failure.ts';
import type { WrittenDisk } from './written-disk.ts';

const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Fetches the image onto the disk, from the beginning again when an attempt fails: the connection broke, nothing moved for
 * the stall time, or the digest did not match. A server that does not answer at all costs no attempt: it is asked again until
 * the stall time has passed since something was received. When it resolves, all of the image but the ends is on the disk.
 * @throws PermanentFailure at once; OperationFailedError after the last attempt, or when nobody answered for the stall time.
 */
export async function receiveImage(params: WriteImageParams, disk: WrittenDisk, command: ProgressClock, options: WritingOptions): Promise<ReceivedImage> {
  const image = await new Reception(params, disk, command, options).run();
  await settleHoles(image, disk, options); // nobody waits for us any more
  return image;
}

class Reception {
  readonly #params: WriteImageParams;
  readonly #disk: WrittenDisk;
  readonly #command: ProgressClock;
  readonly #options: WritingOptions;
  #failedAttempts = 0;
  #movedAt = performance.now();

  constructor(params: WriteImageParams, disk: WrittenDisk, command: ProgressClock, options: WritingOptions) {
    this.#params = params;
    this.#disk = disk;
    this.#command = command;
    this.#options = options;
  }

  async run(): Promise<ReceivedImage> {
    for (;;) {
      try {
        return await this.#attempt();
      } catch (error) {
        this.#command.signal.throwIfAborted();
        if (error instanceof PermanentFailure) throw error;
        if (error instanceof UnreachableFailure) this.#ensurePatience(error);
        else this.#countFailure(error);
      }
      await pause(Math.min(PAUSE_MS * Math.max(1, this.#failedAttempts), LONGEST_PAUSE_MS), undefined, { signal: this.#command.signal });
    }
  }

  async #attempt(): Promise<ReceivedImage> {
    const { stall_timeout_s: stallTimeoutS } = this.#params;
    const clock = new ProgressClock('the download', this.#command.signal, Infinity, stallTimeoutS);
    const onProgress: WritingOptions['onProgress'] = (bytesDone) => {
      clock.moved();
      this.#movedAt = performance.now();
      this.#options.onProgress(bytesDone);
    };
    try {
      return await downloadImage(this.#params, stallTimeoutS * 1_000, clock.signal, (parts) => writeImage(parts, this.#disk, { ...this.#options, onProgress }));
    } finally {
      clock.release();
    }
  }

  #ensurePatience(error: UnreachableFailure): void {
    const { stall_timeout_s: stallTimeoutS } = this.#params;
    if (performance.now() - this.#movedAt < stallTimeoutS * 1_000) return;
    throw new OperationFailedError(`nothing of the image was received for ${stallTimeoutS} s: ${messageOf(error)}`, {}, error);
  }

  #countFailure(error: unknown): void {
    this.#failedAttempts += 1;
    if (this.#failedAttempts < this.#params.attempts) return;
    throw new OperationFailedError(`the image was not received in ${this.#failedAttempts} attempts, the last of which ended so: ${messageOf(error)}`, {}, error);
  }
}
