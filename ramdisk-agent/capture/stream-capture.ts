import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { CapturePrediction, CaptureReport } from '../../protocol/capture.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import type { ImageProof } from '../../protocol/image-proof.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { findChangedParts, type FileSystemMark } from '../extent-map/file-system-marks.ts';
import { mergeRanges } from '../extent-map/range-list.ts';
import { ProgressClock } from '../progress-clock.ts';
import { DiskSource } from '../qcow2/disk-source.ts';
import { clustersIn } from '../qcow2/extents.ts';
import { streamImage } from '../qcow2/image-stream.ts';
import { CLUSTER_BYTES } from '../qcow2/layout.ts';
import type { Capture } from './capture.ts';
import { ShareUnreached, UploadRefused, uploadImage, type SentImage } from './image-upload.ts';
import { measureLink } from './link-probe.ts';
import { sampleCompression, sampleDisk, type SpeedSample } from './speed-sample.ts';
import { leaveOutZeros, planStream, type StreamPlan } from './stream-plan.ts';

export interface StreamCaptureOptions extends Capture {
  device: BlockDevice;
}

/** An image that has arrived, by whatever way. */
export interface CapturedImage {
  sizeBytes: number;
  /** Of what was sent. */
  proof: ImageProof;
  report: CaptureReport;
}

/** What the image is on its way. */
export interface Wire {
  compressed: boolean;
  /** To what part of its size. */
  ratio: number;
  /** Of the image. */
  compressorBytesPerS: number;
}
const UNCOMPRESSED: Wire = { compressed: false, ratio: 1, compressorBytesPerS: Infinity };

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
/** Of the time without progress that ends the whole: an answer that does not come ends the attempt before. */
const ANSWER_PART = 0.9;
/** A link must be clearly slower than the compressor, and the data must shrink, before CPU is spent on them. */
const WORTH_COMPRESSING = { speed: 0.8, ratio: 0.9 };
/** Of the sample: so many zeros are not left in an image that is kept for years, even if finding them costs more than sending them. */
const MANY_ZEROS = 0.25;
/** A sample of sixteen pieces says nothing of less. */
const FEW_ZEROS = 1 / 16;

/**
 * Sends the disk to the share in one pass: what is used of it, straight from the disk, with nothing kept here.
 * @throws UploadRefused when the share takes no such stream; OperationFailedError otherwise.
 */
export async function captureByStream(options: StreamCaptureOptions): Promise<CapturedImage> {
  const { params, device } = options;
  const disk = await DiskSource.open(device.name, { onReadError: params.on_read_error });
  try {
    return await new StreamCapture(options, disk).run();
  } finally {
    await unlessAborted(options.clock.signal, disk.close());
  }
}

class StreamCapture {
  readonly #options: StreamCaptureOptions;
  readonly #disk: DiskSource;
  #attempts = 0;

  constructor(options: StreamCaptureOptions, disk: DiskSource) {
    this.#options = options;
    this.#disk = disk;
  }

  async run(): Promise<CapturedImage> {
    const { params, device, clock, progress } = this.#options;
    const mapped = await planStream(device, this.#disk, {
      full: params.full,
      signal: clock.signal,
      onMapping: () => progress('mapping', 0, 0),
      onScanned: (bytesDone, bytesTotal) => progress('scanning', bytesDone, bytesTotal),
    });
    const { sample, linkBytesPerS } = await this.#measure(mapped);
    const wire = await this.#chooseCompression(sample, linkBytesPerS);
    const isScanned = this.#disk.unreadable.length === 0 && isWorthScanning(sample, sendingSpeed(sample, wire, linkBytesPerS), params.time_is_limited);
    const sentBytesPerS = sendingSpeed(sample, wire, linkBytesPerS, { withoutZeros: isScanned });
    const predict = (imageBytes: number, dataClusters: number, scanBytes = 0): CapturePrediction => ({
      image_bytes: imageBytes,
      read_bytes: dataClusters * CLUSTER_BYTES,
      disk_bytes_per_s: Math.round(sample.diskBytesPerS),
      link_bytes_per_s: linkBytesPerS === null ? null : Math.round(linkBytesPerS),
      duration_s: sentBytesPerS > 0 ? Number((imageBytes / sentBytesPerS + scanBytes / sample.diskBytesPerS).toFixed(1)) : 0, // a blank disk has nothing to measure, and nothing to read
    });
    const { imageBytes: mappedBytes, dataClusters: mappedClusters } = mapped.layout;
    const zeroClusters = Math.min(Math.floor(sample.zeroShare * mappedClusters), clustersIn(mapped.unseen)); // what the scan is expected to find
    const onScanned = (bytesDone: number, bytesTotal: number): void => progress('scanning', bytesDone, bytesTotal, predict(mappedBytes - zeroClusters * CLUSTER_BYTES, mappedClusters - zeroClusters, bytesTotal - bytesDone));
    const plan = isScanned ? await leaveOutZeros(mapped, this.#disk, { signal: clock.signal, onScanned }) : mapped;
    const prediction = predict(plan.layout.imageBytes, plan.layout.dataClusters);
    progress('streaming', 0, plan.layout.imageBytes, prediction);
    const sent = await this.#send(plan, wire.compressed, prediction);
    return {
      sizeBytes: plan.layout.imageBytes,
      proof: sent.proof,
      report: {
        method: 'stream',
        fallback_reason: null,
        parts: plan.parts,
        bytes_read: this.#disk.readBytes,
        wire_bytes: sent.wireBytes,
        compression: wire.compressed ? 'zstd' : 'none',
        attempts: this.#attempts,
        unreadable: mergeRanges(this.#disk.unreadable, { smallestGapBytes: 1 }).map(({ offsetBytes, sizeBytes }) => ({ offset_bytes: offsetBytes, size_bytes: sizeBytes })),
        prediction,
      },
    };
  }

  /** Disk and link are measured for a moment each. */
  async #measure({ layout }: StreamPlan): Promise<{ sample: SpeedSample; linkBytesPerS: number | null }> {
    const { params, clock } = this.#options;
    const sample = await sampleDisk(layout, this.#disk, clock.signal);
    clock.moved();
    const linkBytesPerS = await measureLink(params, layout.imageBytes, clock.signal);
    clock.moved();
    return { sample, linkBytesPerS };
  }

  async #chooseCompression(sample: SpeedSample, linkBytesPerS: number | null): Promise<Wire> {
    const { params, clock } = this.#options;
    if (params.compression === 'none' || (params.compression === 'auto' && linkBytesPerS === null)) return UNCOMPRESSED;
    const sampled = await sampleCompression(sample, clock.signal).catch((error: unknown) => {
      clock.signal.throwIfAborted();
      if (params.compression !== 'auto') throw error;
      return null; // without a compressor the image goes as it is
    });
    if (sampled === null) return UNCOMPRESSED;
    const { bytesPerS, ratio } = sampled;
    clock.moved();
    const worthIt = linkBytesPerS !== null && linkBytesPerS < WORTH_COMPRESSING.speed * bytesPerS && ratio < WORTH_COMPRESSING.ratio;
    if (params.compression === 'auto' && !worthIt) return UNCOMPRESSED;
    return { compressed: true, ratio, compressorBytesPerS: bytesPerS };
  }

  /** From the begin again when the connection breaks or stands still: the disk is read fast, and nothing of it was kept. */
  async #send(plan: StreamPlan, compressed: boolean, prediction: CapturePrediction): Promise<SentImage> {
    const { params, clock } = this.#options;
    for (let tries = 1; ; tries += 1) {
      this.#attempts += 1;
      try {
        return await this.#attempt(plan, compressed, prediction);
      } catch (error) {
        clock.signal.throwIfAborted();
        if (error instanceof UploadRefused || error instanceof DiskFailure) throw error;
        if (error instanceof ShareUnreached) this.#attempts -= 1; // a conductor that starts again; until the clock, which stands still, is over
        else clock.moved();
        if (this.#attempts >= params.attempts) throw new OperationFailedError(`the image was not sent in ${this.#attempts} attempts, the last of which ended so: ${messageOf(error)}`, {}, error);
      }
      await pause(Math.min(FIRST_PAUSE_MS * tries, LONGEST_PAUSE_MS), undefined, { signal: clock.signal });
    }
  }

  async #attempt({ layout, marks }: StreamPlan, compressed: boolean, prediction: CapturePrediction): Promise<SentImage> {
    const { params, device, clock, progress } = this.#options;
    const attempt = new ProgressClock('the stream', clock.signal, Infinity, params.stall_timeout_s / 2); // another attempt must fit before the whole stalls
    const pieces = fromDisk(ofUnchanged(device, marks, streamImage(layout, this.#disk, attempt.signal)), attempt.signal);
    try {
      return await uploadImage(params, params.image_name, layout.imageBytes, pieces, {
        signal: attempt.signal,
        answerTimeoutMs: ANSWER_PART * params.stall_timeout_s * 1_000,
        compressed,
        onProgress: (bytesSent) => {
          attempt.moved();
          progress('streaming', bytesSent, layout.imageBytes, prediction);
        },
        onSent: () => {
          attempt.release(); // a receiver that writes out what it has makes no progress that could be seen here
          clock.moved();
        },
      });
    } finally {
      attempt.release();
      await unlessAborted(clock.signal, pieces.return()); // what is still being read goes into memory that the next attempt uses
    }
  }
}

/** Waits for the work, but no longer than until the signal; a disk may hang for ever. */
async function unlessAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  try {
    if (!signal.aborted) await Promise.race([work, once(signal, 'abort', { signal: ended.signal })]);
  } finally {
    ended.abort();
  }
}

/** Bytes of the image a second. Without the zeros, on which a compressor spends next to nothing, what is left does not shrink as much. @param linkBytesPerS null: not known. */
export function sendingSpeed({ diskBytesPerS, zeroShare }: Pick<SpeedSample, 'zeroShare' | 'diskBytesPerS'>, { ratio, compressorBytesPerS }: Omit<Wire, 'compressed'>, linkBytesPerS: number | null, { withoutZeros } = { withoutZeros: false }): number {
  const sentRatio = withoutZeros ? Math.min(1, ratio / (1 - zeroShare)) : ratio;
  return Math.min(diskBytesPerS, compressorBytesPerS, (linkBytesPerS ?? Infinity) / sentRatio);
}

/** Whether all that is used is read once more beforehand, to leave out zeros: when it saves time, or a lot of the image and there is time. */
export function isWorthScanning({ zeroShare, diskBytesPerS }: Pick<SpeedSample, 'zeroShare' | 'diskBytesPerS'>, sentBytesPerS: number, timeIsLimited: boolean): boolean {
  if (zeroShare > MANY_ZEROS && !timeIsLimited) return true;
  return zeroShare > FEW_ZEROS && zeroShare * diskBytesPerS > sentBytesPerS;
}

/** Behind the last piece, before anything is committed: what was left out of the image must still be what it was. */
async function* ofUnchanged(device: BlockDevice, marks: readonly FileSystemMark[], pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield* pieces;
  const changed = await findChangedParts(device, marks);
  if (changed.length > 0) throw new OperationFailedError(`${changed.join(', ')} of ${device.name} changed while it was captured: something else writes to the disk. Nothing but the capture may use it; "full" takes every block as it is found.`);
}

/** A disk that can not be read is not read better a second time. */
class DiskFailure extends OperationFailedError {}

async function* fromDisk(pieces: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* pieces;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof OperationFailedError ? new DiskFailure(error.message, error.data, error) : error;
  }
}
