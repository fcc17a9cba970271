import { realpath, stat } from 'node:fs/promises';
import { InvalidParameterError, OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { BlockDevice, BlockDevices } from './block-device.ts';
import { runLsblk, toBlockDevice } from './lsblk.ts';

/** The disks that the configuration names, and no others: lsblk is asked about each of them by path. */
export class ExplicitDevices implements BlockDevices {
  readonly #paths: readonly string[];

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** @throws InvalidParameterError when a path is no block device, OperationFailedError when nothing is attached to it. */
  async list(): Promise<BlockDevice[]> {
    return Promise.all(this.#paths.map((path) => this.#inspect(path)));
  }

  async #inspect(path: string): Promise<BlockDevice> {
    const device = await realpath(path).catch((error: unknown) => {
      throw new InvalidParameterError(`devices: ${path} cannot be opened: ${messageOf(error)}`, { path }, error);
    });
    if (!(await stat(device)).isBlockDevice()) throw new InvalidParameterError(`devices: ${path} is not a block device`, { path });
    const [row] = await runLsblk([device]);
    if (!row || row.size === 0) throw new OperationFailedError(`devices: nothing is attached to ${path}`, { path });
    return toBlockDevice(row);
  }
}
