import { existsSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Layers between a disk and its controller, whose drivers (sd, mmcblk) say nothing about the hardware. */
const DISK_LAYERS = new Set(['scsi', 'mmc']);

/**
 * The driver of the first device above a sysfs entry (of a disk or a network interface) that is not a mere layer: ahci,
 * nvme, virtio_blk, megaraid_sas, igb. Null when there is none, as for a loop device.
 */
export function findControllerDriver(sysfsEntry: string): string | null {
  const start = join(sysfsEntry, 'device');
  if (!existsSync(start)) return null;
  for (let directory = realpathSync(start); dirname(directory) !== directory; directory = dirname(directory)) {
    const driver = readLinkName(join(directory, 'driver'));
    if (driver !== null && !DISK_LAYERS.has(readLinkName(join(directory, 'subsystem')) ?? '')) return driver;
  }
  return null;
}

const readLinkName = (link: string): string | null => (existsSync(link) ? basename(readlinkSync(link)) : null);
