import { join } from 'node:path';
import type { StreamImageParams } from '../../protocol/agent-api.ts';
import type { CaptureReport } from '../../protocol/capture.ts';
import { InvalidParameterError, messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { IMAGE_HASH_ALGO } from '../../protocol/image.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { ensureImageFitsCache } from './cache-estimate.ts';
import { mountCacheFileSystem } from './cache-file-system.ts';
import type { Capture } from './capture.ts';
import { DavfsMount } from './davfs-mount.ts';
import { convertDisk } from './image-conversion.ts';
import { digestImage, type ImageFacts } from './image-digest.ts';
import type { CapturedImage } from './stream-capture.ts';
import type { CaptureWorkspace } from './workspace.ts';

/** A capture through the workspace: what is mounted and running in it ends with it. */
export interface MountCapture extends Capture {
  workspace: CaptureWorkspace;
  cacheSizeBytes: number;
}

/**
 * Copies the disk with qemu-img onto a davfs2 mount of the share: as the specification has it. Size and digest are those of
 * the file that davfs2 sent; only the conductor, which holds what has arrived, can tell that both are the same.
 * Settles when nothing is mounted, running or stored any more, whatever has happened.
 * @throws InvalidParameterError for what only a stream can do; OperationFailedError before anything is mounted when the image can not fit.
 */
export function captureByMount(capture: MountCapture, device: BlockDevice): Promise<CapturedImage> {
  refuseUnfit(capture.params);
  // Registered before anything else listens: davfs2 has to be gone when qemu-img ends, or it uploads what is there.
  capture.clock.signal.addEventListener('abort', () => capture.workspace.killDavfs(), { once: true });
  return leavingNothing(capture, async () => {
    const { cacheSizeBytes, clock, progress } = capture;
    await ensureImageFitsCache({ device: device.name, sizeBytes: device.sizeBytes, cacheSizeBytes, signal: clock.signal, onProgress: (bytesDone) => progress('preparing', bytesDone, device.sizeBytes) });
    const mount = await mountShare(capture, cacheSizeBytes);
    await convert(capture, device, mount);
    const { sizeBytes, sha512 } = await finishUpload(capture, device, mount);
    return { sizeBytes, proof: { algo: IMAGE_HASH_ALGO, value: sha512 }, report: reportOf(device, sizeBytes) };
  });
}

function refuseUnfit({ on_read_error: onReadError }: StreamImageParams): void {
  if (onReadError === 'zero') throw new InvalidParameterError('on_read_error "zero" needs the method "stream": through the mount a disk that can not be read fails the capture');
}

/** qemu-img reads every block, and leaves out what is zeros. */
const reportOf = ({ sizeBytes }: BlockDevice, imageBytes: number): CaptureReport => ({
  method: 'mount',
  fallback_reason: null,
  parts: [{ what: 'disk', offset_bytes: 0, size_bytes: sizeBytes, content: null, treatment: 'read in full', used_bytes: null, summary: 'disk: read in full, zeros left out' }],
  bytes_read: sizeBytes,
  wire_bytes: imageBytes,
  compression: 'none',
  attempts: 1,
  unreadable: [],
  prediction: null,
});

async function mountShare({ params, workspace, clock, progress }: MountCapture, cacheSizeBytes: number): Promise<DavfsMount> {
  progress('mounting', 0, 0);
  workspace.create();
  const cacheFiles = await mountCacheFileSystem(workspace.cacheDirectory, cacheSizeBytes, clock.signal);
  return DavfsMount.mount(workspace, params, { cacheFiles, cacheSizeBytes, readTimeoutS: params.stall_timeout_s }, clock.signal);
}

async function convert({ params, workspace, clock, progress }: MountCapture, device: BlockDevice, mount: DavfsMount): Promise<void> {
  progress('converting', 0, device.sizeBytes);
  await convertDisk({
    device: device.name,
    sizeBytes: device.sizeBytes,
    target: join(mount.directory, params.image_name),
    timeoutMs: clock.remainingMs,
    signal: clock.signal,
    onStart: (pid) => workspace.recordProcess(pid),
    onProgress: (bytesDone) => progress('converting', bytesDone, device.sizeBytes),
  });
}

/** Unmounts, and while davfs2 sends the image, digests the same file; both have to succeed. */
async function finishUpload({ params, clock, progress }: MountCapture, device: BlockDevice, mount: DavfsMount): Promise<ImageFacts> {
  const file = mount.cachedFile(params.image_name);
  const failed = new AbortController();
  const signal = AbortSignal.any([clock.signal, failed.signal]);
  const settle = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      failed.abort(error);
      throw error;
    });
  const outcomes = await Promise.allSettled([
    settle(digestImage(file.path, signal, () => clock.moved())),
    settle(mount.detachAndUpload(file, signal, (position) => progress('uploading', position, file.sizeBytes))),
  ]);
  failed.signal.throwIfAborted();
  const [digested] = outcomes;
  if (digested.status === 'rejected') throw digested.reason;
  const image = digested.value;
  progress('finishing', image.sizeBytes, image.sizeBytes);
  mount.verifyUploaded(params.image_name);
  if (image.virtualSizeBytes !== device.sizeBytes) throw new OperationFailedError(`the image is of a disk of ${image.virtualSizeBytes} bytes, ${device.name} has ${device.sizeBytes}`);
  return image;
}

/** Does the work and empties the workspace on every path. A failure to empty it is a failure of the capture. */
async function leavingNothing<T>({ workspace, clock }: MountCapture, work: () => Promise<T>): Promise<T> {
  const [outcome] = await Promise.allSettled([work()]);
  // what stopped it, rather than what that made fail
  const problem: unknown = outcome.status === 'fulfilled' ? null : clock.signal.aborted ? clock.signal.reason : outcome.reason;
  try {
    await workspace.clear();
  } catch (error) {
    throw problem === null ? error : new OperationFailedError(`${messageOf(problem)}; and cleaning up failed: ${messageOf(error)}`, {}, problem);
  }
  if (outcome.status === 'rejected') throw problem;
  return outcome.value;
}
