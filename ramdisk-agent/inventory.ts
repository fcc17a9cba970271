import type { Inventory } from '../protocol/inventory.ts';
import type { BlockDevices } from './devices/block-device.ts';
import type { Hardware } from './hardware/hardware.ts';

/** What this machine has, as Ironic's inventory tells it. @throws MetalshotError when disks or hardware may not be looked at. */
export async function collectInventory(devices: BlockDevices, hardware: Hardware): Promise<Inventory> {
  const [disks, facts] = await Promise.all([devices.list(), hardware.facts()]);
  return {
    disks: disks.map(({ name, model, vendor, serial, wwn, sizeBytes, sectorSizeBytes, rotational, driver }) => ({ name, model, vendor, serial, wwn, size: sizeBytes, sector_size: sectorSizeBytes, rotational, driver })),
    ...facts,
  };
}
