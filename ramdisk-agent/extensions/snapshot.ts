import { join } from 'node:path';
import { streamImageParamsSchema, type StreamImageParams, type StreamImageProgress, type StreamImageResult } from '../../protocol/agent-api.ts';
import { IMAGE_HASH_ALGO } from '../../protocol/image.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { ensureCapturable } from '../capture-checks.ts';
import { ensureImageFitsCache } from '../capture/cache-estimate.ts';
import { mountCacheFileSystem } from '../capture/cache-file-system.ts';
import { DavfsMount } from '../capture/davfs-mount.ts';
import { convertDisk } from '../capture/image-conversion.ts';
import { digestImage, type ImageFacts } from '../capture/image-digest.ts';
import type { CaptureWorkspace } from '../capture/workspace.ts';
import type { CommandContext, Extension } from '../commands/command.ts';
import { defineCommand } from '../commands/define-command.ts';
import { describeForResult, type BlockDevice } from '../devices/block-device.ts';
import { collectInventory } from '../inventory.ts';
import { ProgressClock } from '../progress-clock.ts';
import { chooseRootDevice } from '../root-device.ts';
import type { ExtensionPorts } from './extension-ports.ts';

export function createSnapshotExtension(ports: ExtensionPorts): Extension {
  return {
    stream_image: defineCommand({
      paramsSchema: streamImageParamsSchema,
      secretParams: ['password'],
      run: (params, context) => streamImage(params, context, ports),
    }),
  };
}

/** One capture under way: its limits, and where its progress is told. */
interface Capture {
  params: StreamImageParams;
  workspace: CaptureWorkspace;
  clock: ProgressClock;
  progress(phase: StreamImageProgress['phase'], bytesDone: number, bytesTotal: number): void;
}

/**
 * Captures the root disk as one image on the conductor's share. Size and digest in the result are those of the file that
 * davfs2 sent; only the conductor, which holds what has arrived, can tell that both are the same.
 * Settles when nothing is mounted, running or stored any more, whatever has happened.
 */
async function streamImage(params: StreamImageParams, context: CommandContext, ports: ExtensionPorts): Promise<StreamImageResult> {
  const startedAt = performance.now();
  const { workspace } = ports;
  const clock = new ProgressClock('the capture', context.signal, params.deadline_s, params.stall_timeout_s);
  // Registered before anything else listens: davfs2 has to be gone when qemu-img ends, or it uploads what is there.
  clock.signal.addEventListener('abort', () => workspace.killDavfs(), { once: true });
  const progress: Capture['progress'] = (phase, bytesDone, bytesTotal) => {
    clock.moved();
    context.report({ phase, bytes_done: bytesDone, bytes_total: bytesTotal });
  };
  const capture: Capture = { params, workspace, clock, progress };
  try {
    const { device, image } = await leavingNothing(capture, async () => {
      const prepared = await prepare(capture, ports);
      const mount = await mountShare(capture, prepared.cacheSizeBytes);
      await convert(capture, prepared.device, mount);
      return { device: prepared.device, image: await finishUpload(capture, prepared.device, mount) };
    });
    return {
      image_name: params.image_name,
      size_bytes: image.sizeBytes,
      os_hash_algo: IMAGE_HASH_ALGO,
      os_hash_value: image.sha512,
      virtual_size_bytes: image.virtualSizeBytes,
      disk: describeForResult(device),
      inventory: await collectInventory(ports.devices, ports.hardware),
      duration_s: (performance.now() - startedAt) / 1_000,
    };
  } finally {
    clock.release();
  }
}

/** Chooses the disk and finds out everything that can refuse the capture before anything is mounted. */
async function prepare({ params, clock, progress }: Capture, ports: ExtensionPorts): Promise<{ device: BlockDevice; cacheSizeBytes: number }> {
  progress('preparing', 0, 0);
  const device = chooseRootDevice(await ports.devices.list(), params.root_device);
  if (!params.allow_partial) await ensureCapturable(device, clock.signal);
  const cacheSizeBytes = ports.cacheSizeBytes();
  await ensureImageFitsCache({ device: device.name, sizeBytes: device.sizeBytes, cacheSizeBytes, signal: clock.signal, onProgress: (bytesDone) => progress('preparing', bytesDone, device.sizeBytes) });
  return { device, cacheSizeBytes };
}

async function mountShare({ params, workspace, clock, progress }: Capture, cacheSizeBytes: number): Promise<DavfsMount> {
  progress('mounting', 0, 0);
  workspace.create();
  const cacheFiles = await mountCacheFileSystem(workspace.cacheDirectory, cacheSizeBytes, clock.signal);
  return DavfsMount.mount(workspace, params, { cacheFiles, cacheSizeBytes, readTimeoutS: params.stall_timeout_s }, clock.signal);
}

async function convert({ params, workspace, clock, progress }: Capture, device: BlockDevice, mount: DavfsMount): Promise<void> {
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
async function finishUpload({ params, clock, progress }: Capture, device: BlockDevice, mount: DavfsMount): Promise<ImageFacts> {
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
async function leavingNothing<T>({ workspace, clock }: Capture, work: () => Promise<T>): Promise<T> {
  await workspace.clear(); // of a capture that could not clean up
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
