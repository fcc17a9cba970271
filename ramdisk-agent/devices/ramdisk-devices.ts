import { existsSync, readFileSync } from 'node:fs';
import { ForbiddenError } from '../../protocol/errors.ts';
import { KERNEL_PARAMETERS } from '../../protocol/ramdisk-boot.ts';
import { parseKernelParameters } from '../kernel-parameters.ts';
import type { BlockDevice, BlockDevices } from './block-device.ts';
import { runLsblk, toBlockDevice, type LsblkRow } from './lsblk.ts';

/** A file of our initramfs and of nothing else. */
export const RAMDISK_MARKER = '/etc/metalshot-ramdisk';
export const KERNEL_COMMAND_LINE = '/proc/cmdline';

/** All disks of the machine that we have booted: possible in our own ramdisk only, never on a host that runs something else. */
export class RamdiskDevices implements BlockDevices {
  async list(): Promise<BlockDevice[]> {
    ensureRamdisk();
    return selectDisks(await runLsblk([])).map(toBlockDevice);
  }
}

/** Whether the marker is there and the machine was booted for us, which is what `ensureRamdisk` demands. */
export const isRamdisk = (): boolean => existsSync(RAMDISK_MARKER) && wasBooted();

const wasBooted = (): boolean => parseKernelParameters(readFileSync(KERNEL_COMMAND_LINE, 'utf8')).has(KERNEL_PARAMETERS.apiUrl);

/** @throws ForbiddenError unless this is the ramdisk, by its marker file and by the conductor's address on the kernel command line. */
export function ensureRamdisk(): void {
  const marked = existsSync(RAMDISK_MARKER);
  const booted = wasBooted();
  if (marked && booted) return;
  const missing = [...(marked ? [] : [`there is no ${RAMDISK_MARKER}`]), ...(booted ? [] : [`${KERNEL_COMMAND_LINE} has no ${KERNEL_PARAMETERS.apiUrl}`])];
  throw new ForbiddenError(`this is not the Metalshot ramdisk (${missing.join(', ')}), so the disks of this system are not looked at: name the disks in "devices" of the configuration`);
}

/** Disks that may be a server's own: no loop, ram, zram, floppy or optical devices, nothing removable, read-only or empty. */
export function selectDisks(rows: readonly LsblkRow[]): LsblkRow[] {
  return rows.filter((row) => row.type === 'disk' && !row.rm && !row.ro && row.size > 0 && !/^(loop|ram|zram|fd|sr)\d/.test(row.name));
}
