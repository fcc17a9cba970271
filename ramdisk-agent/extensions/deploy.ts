import { eraseMetadataParamsSchema, writeImageParamsSchema, type EraseMetadataParams, type EraseMetadataResult, type WriteImageParams, type WriteImageResult } from '../../protocol/deploy-commands.ts';
import type { CommandContext, Extension } from '../commands/command.ts';
import { defineCommand } from '../commands/define-command.ts';
import { Deployment } from '../deploy/deployment.ts';
import { eraseMetadata } from '../deploy/erase-metadata.ts';
import { chooseTargetDisk, ensureMayBeCleaned } from '../deploy/target-disk.ts';
import { describeForResult } from '../devices/block-device.ts';
import { collectInventory } from '../inventory.ts';
import { ProgressClock } from '../progress-clock.ts';
import type { ExtensionPorts } from './extension-ports.ts';

export function createDeployExtension(ports: ExtensionPorts): Extension {
  return {
    write_image: defineCommand({
      paramsSchema: writeImageParamsSchema,
      secretParams: ['password'],
      run: (params, context) => writeImage(params, context, ports),
    }),
    erase_devices_metadata: defineCommand({
      paramsSchema: eraseMetadataParamsSchema,
      secretParams: [],
      run: (params, context) => eraseDevicesMetadata(params, context, ports),
    }),
  };
}

/** Makes the root disk what the image is. Settles when nothing is mounted, open or running any more, whatever has happened. */
async function writeImage(params: WriteImageParams, context: CommandContext, ports: ExtensionPorts): Promise<WriteImageResult> {
  const clock = new ProgressClock('the deployment', context.signal, params.deadline_s, Infinity);
  context.mustEndAfter(clock.signal);
  try {
    return await new Deployment(params, context, ports, clock).run();
  } finally {
    await ports.bootOrder?.renew();
    clock.release();
  }
}

/** Ironic's metadata erasure of the root disk, which is chosen as for a deployment. A machine without any disk has nothing to erase. */
async function eraseDevicesMetadata(params: EraseMetadataParams, context: CommandContext, ports: ExtensionPorts): Promise<EraseMetadataResult> {
  const startedAt = performance.now();
  const clock = new ProgressClock('the erasure', context.signal, params.deadline_s, Infinity);
  context.mustEndAfter(clock.signal);
  const result = async (parts: Pick<EraseMetadataResult, 'disk' | 'wiped'>): Promise<EraseMetadataResult> => ({ ...parts, inventory: await collectInventory(ports.devices, ports.hardware), duration_s: (performance.now() - startedAt) / 1_000 });
  context.rememberForFailure({ disk_touched: false });
  try {
    const devices = await ports.devices.list();
    if (devices.length === 0) return await result({ disk: null, wiped: [] });
    const chosen = chooseTargetDisk(devices, params);
    await ports.deployWorkspace.ensureRecovered(chosen.device);
    const foreign = await ensureMayBeCleaned(chosen, clock.signal);
    context.rememberForFailure({ disk_touched: true });
    const wiped = await eraseMetadata(chosen.device, clock.signal);
    return await result({ disk: describeForResult(chosen.device), wiped: [...wiped, ...foreign] });
  } finally {
    clock.release();
  }
}
