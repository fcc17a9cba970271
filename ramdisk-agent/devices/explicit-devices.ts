import { realpath, stat } from 'node:fs/promises';
import { InvalidParameterError, OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { BlockDevice, BlockDevices } from './block-device.ts';
import { runLsblk, toBlockDevice } from './lsblk.ts';

/** A disk of the configuration, with what it is to be known by: a loop device has no identity of its own. */
export interface ExplicitDevice {
  path: string;
  serial?: string | null;
  wwn?: string | null;
  model?: string | null;
}

/** The disks that the configuration names, and no others: lsblk is asked about each of them by path. */
export class ExplicitDevices implements BlockDevices {
  readonly #devices: readonly ExplicitDevice[];
  readonly #driver: string | null;

  /** @param driver of their controller, as the configuration has it. */
  constructor(devices: readonly (string | ExplicitDevice)[], driver: string | null = null) {
    this.#devices = devices.map((device) => (typeof device === 'string' ? { path: device } : device));
    this.#driver = driver;
  }

  /** @throws InvalidParameterError when a path is no block device, OperationFailedError when nothing is attached to it. */
  async list(): Promise<BlockDevice[]> {
    return Promise.all(this.#devices.map((device) => this.#inspect(device)));
  }

  async #inspect({ path, ...identity }: ExplicitDevice): Promise<BlockDevice> {
    const device = await realpath(path).catch((error: unknown) => {
      throw new InvalidParameterError(`devices: ${path} cannot be opened: ${messageOf(error)}`, { path }, error);
    });
    if (!(await stat(device)).isBlockDevice()) throw new InvalidParameterError(`devices: ${path} is not a block device`, { path });
    const [row] = await runLsblk([device]);
    if (!row || row.size === 0) throw new OperationFailedError(`devices: nothing is attached to ${path}`, { path });
    return { ...toBlockDevice(row), ...identity, driver: this.#driver };
  }
}
