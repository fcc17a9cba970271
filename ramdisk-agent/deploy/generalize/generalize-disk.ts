import type { GeneralizedItem } from '../../../protocol/deploy-commands.ts';
import { OperationFailedError } from '../../../protocol/errors.ts';
import type { BlockDevice } from '../../devices/block-device.ts';
import { listRegions } from '../../disk-layout/foreign-parts.ts';
import { readPartitionTable } from '../../disk-layout/partition-table.ts';
import { probeRegion } from '../../disk-layout/signatures.ts';
import type { DeployWorkspace } from '../deploy-workspace.ts';
import { changeDiskIdentifiers } from './disk-identifiers.ts';
import { isMountable, withFileSystem } from './file-system-mount.ts';
import { findRootTrees, type GuestTree } from './guest-tree.ts';
import { changeIdentityFiles } from './identity-files.ts';
import { changeSshHostKeys } from './ssh-host-keys.ts';
import { removeTransientFiles } from './transient-files.ts';

/**
 * Makes what is on the disk a machine of its own, so that it can live in one network with its origin.
 * @returns every item, also what was kept and why. @throws OperationFailedError when there is no root file system that we can
 *   mount, or something in it cannot be changed; the disk is half changed then.
 */
export async function generalizeDisk(device: BlockDevice, hostname: string, workspace: DeployWorkspace, signal: AbortSignal): Promise<GeneralizedItem[]> {
  const table = await readPartitionTable(device.name, signal);
  const items: GeneralizedItem[] = [];
  const looked: string[] = [];
  await workspace.clear(); // of a deployment that could not clean up
  workspace.create();
  for (const region of listRegions(device, table)) {
    const type = (await probeRegion(device.name, region, signal)).find(isMountable);
    looked.push(`${region.name}: ${type ?? 'nothing that can be mounted here'}`);
    if (type === undefined) continue;
    await withFileSystem({ disk: device.name, region, type, directory: workspace.mountDirectory }, signal, async () => {
      for (const tree of await findRootTrees(workspace.mountDirectory, region.name)) items.push(...(await generalizeTree(tree, hostname, workspace, signal)));
    });
  }
  if (items.length === 0) throw new OperationFailedError(`generalizing needs a root file system (ext4, xfs or btrfs with /etc/os-release or /etc/machine-id, not encrypted and not in a volume group), found on ${device.name} ${looked.join(', ')}. Deploy the image without generalizing, and change its identity yourself.`, { device: device.name });
  return [...items, ...(await changeDiskIdentifiers(device, table, signal))];
}

async function generalizeTree(tree: GuestTree, hostname: string, workspace: DeployWorkspace, signal: AbortSignal): Promise<GeneralizedItem[]> {
  const items = await changeIdentityFiles(tree, hostname);
  signal.throwIfAborted();
  items.push(...(await changeSshHostKeys(tree, hostname, workspace.scratchDirectory, signal)));
  signal.throwIfAborted();
  return [...items, ...(await removeTransientFiles(tree))];
}
