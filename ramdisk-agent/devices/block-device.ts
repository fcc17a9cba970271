/** A disk as hints and people name it. What the system does not know is null. */
export interface BlockDevice {
  /** For example /dev/sda. */
  name: string;
  sizeBytes: number;
  sectorSizeBytes: number;
  rotational: boolean;
  model: string | null;
  vendor: string | null;
  serial: string | null;
  wwn: string | null;
  wwnWithExtension: string | null;
  wwnVendorExtension: string | null;
  /** SCSI host:channel:target:lun. */
  hctl: string | null;
  /** For example /dev/disk/by-path/pci-0000:00:17.0-ata-1. */
  byPath: string | null;
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
