import type { CapturedDisk } from '../../protocol/agent-api.ts';
import type { HintedDevice } from '../../protocol/root-device-hints.ts';

/** A disk as hints and people name it: a HintedDevice, and what nobody chooses by. */
export interface BlockDevice extends HintedDevice {
  sectorSizeBytes: number;
  /** Kernel driver of the controller that it hangs on. */
  driver: string | null;
}

/** The only way to disks. Nothing outside an implementation of this may look for any. */
export interface BlockDevices {
  /** @throws MetalshotError when disks cannot or may not be looked at. */
  list(): Promise<BlockDevice[]>;
}

const GIB = 1024 ** 3;

/** A disk in an error message. */
export function describeDevice(device: BlockDevice): string {
  const facts = [`${Number((device.sizeBytes / GIB).toFixed(2))} GiB`, device.model, device.serial && `serial ${device.serial}`, device.wwn && `wwn ${device.wwn}`];
  return `${device.name} (${facts.filter((fact) => fact !== null && fact !== '').join(', ')})`;
}

/** A disk in a command's result. */
export const describeForResult = (device: BlockDevice): CapturedDisk => ({
  name: device.name,
  serial: device.serial,
  wwn: device.wwn,
  model: device.model,
  size_bytes: device.sizeBytes,
  sector_size_bytes: device.sectorSizeBytes,
});
