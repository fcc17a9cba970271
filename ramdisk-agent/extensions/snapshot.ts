import { streamImageParamsSchema, type StreamImageParams, type StreamImageResult } from '../../protocol/agent-api.ts';
import { ensureCapturable } from '../capture-checks.ts';
import type { Capture } from '../capture/capture.ts';
import { captureByMount } from '../capture/mount-capture.ts';
import { captureByStream, type CapturedImage } from '../capture/stream-capture.ts';
import { UploadRefused } from '../capture/image-upload.ts';
import type { CommandContext, Extension } from '../commands/command.ts';
import { defineCommand } from '../commands/define-command.ts';
import { describeForResult, type BlockDevice } from '../devices/block-device.ts';
import { keepingBootOrder } from '../hardware/boot-order.ts';
import { collectInventory } from '../inventory.ts';
import { ProgressClock } from '../progress-clock.ts';
import { chooseRootDevice } from '../root-device.ts';
import type { ExtensionPorts } from './extension-ports.ts';

export function createSnapshotExtension(ports: ExtensionPorts): Extension {
  return {
    stream_image: defineCommand({
      paramsSchema: streamImageParamsSchema,
      secretParams: ['password'],
      run: (params, context) => keepingBootOrder(ports.bootOrder, () => captureRootDisk(params, context, ports)),
    }),
  };
}

/** Captures the root disk as one image on the conductor's share, as `params.method` says, and tells how it was done. */
async function captureRootDisk(params: StreamImageParams, context: CommandContext, ports: ExtensionPorts): Promise<StreamImageResult> {
  const startedAt = performance.now();
  const clock = new ProgressClock('the capture', context.signal, params.deadline_s, params.stall_timeout_s);
  context.mustEndAfter(clock.signal);
  const capture: Capture = {
    params,
    clock,
    progress: (phase, bytesDone, bytesTotal, prediction) => {
      clock.moved();
      context.report({ phase, bytes_done: bytesDone, bytes_total: bytesTotal, ...(prediction ? { prediction } : {}) });
    },
  };
  try {
    capture.progress('preparing', 0, 0);
    await ports.workspace.clear(); // of a capture that could not clean up
    const device = chooseRootDevice(await ports.devices.list(), params.root_device);
    if (!params.allow_partial) await ensureCapturable(device, clock.signal);
    const image = await captureByMethod(capture, device, ports);
    return {
      image_name: params.image_name,
      size_bytes: image.sizeBytes,
      proof: image.proof,
      virtual_size_bytes: device.sizeBytes,
      disk: describeForResult(device),
      inventory: await collectInventory(ports.devices, ports.hardware),
      report: image.report,
      duration_s: (performance.now() - startedAt) / 1_000,
    };
  } finally {
    clock.release();
  }
}

async function captureByMethod(capture: Capture, device: BlockDevice, ports: ExtensionPorts): Promise<CapturedImage> {
  const { params } = capture;
  const throughMount = (): Promise<CapturedImage> => captureByMount({ ...capture, workspace: ports.workspace, cacheSizeBytes: ports.cacheSizeBytes() }, device);
  if (params.method === 'mount') return throughMount();
  try {
    return await captureByStream({ ...capture, device });
  } catch (error) {
    // through the mount, nothing but the way of sending changes: a full share or a bad disk is the same again
    if (params.method !== 'auto' || params.on_read_error === 'zero' || !(error instanceof UploadRefused) || !error.takesNoStream) throw error;
    const { report, ...image } = await throughMount();
    return { ...image, report: { ...report, fallback_reason: error.message } };
  }
}
