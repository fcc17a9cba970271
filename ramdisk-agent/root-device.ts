import { OperationFailedError } from '../protocol/errors.ts';
import type { StreamImageParams } from '../protocol/agent-api.ts';
import { describeDevice, type BlockDevice } from './devices/block-device.ts';
import { compileHints } from '../protocol/root-device-hints.ts';
import { MINIMUM_ROOT_BYTES } from '../protocol/target-disk.ts';

/**
 * The disk that the server boots from: the first that matches all hints; without hints the smallest of at least 4 GiB, of
 * several the first by name.
 * @throws OperationFailedError listing what was found, InvalidParameterError for hints that make no sense.
 */
export function chooseRootDevice(devices: readonly BlockDevice[], hints: StreamImageParams['root_device']): BlockDevice {
  const found = devices.length === 0 ? 'no disks at all' : devices.map(describeDevice).join(', ');
  if (hints !== undefined && Object.keys(hints).length > 0) {
    const matches = compileHints(hints);
    const chosen = devices.find(matches);
    if (!chosen) throw new OperationFailedError(`no disk matches the root device hints ${JSON.stringify(hints)}; found ${found}`, { hints });
    return chosen;
  }
  const [chosen] = devices.filter(({ sizeBytes }) => sizeBytes >= MINIMUM_ROOT_BYTES).toSorted((a, b) => a.sizeBytes - b.sizeBytes || (a.name < b.name ? -1 : 1));
  if (!chosen) throw new OperationFailedError(`expected a disk of at least 4 GiB to capture, found ${found}: name the root device with a hint (root_device)`);
  return chosen;
}
