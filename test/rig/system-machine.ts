import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk } from '../../demo/disk.ts';
import { buildSystemDisk } from '../../demo/system-disk.ts';
import type { RackConfigInput } from '../../simulator/config.ts';
import { PROVISIONING } from './provisioning-network.ts';
import { ramdiskFile } from './ramdisk-directory.ts';
import { makeUsedDisk } from './used-disk.ts';

const GIB = 1024 ** 3;
/** All of it is read, without KVM slowly. */
const DISK_BYTES = GIB;
const MEMORY_MB = 1024;
/** In front of a machine with `bmc: 'ipmi'`. */
export const IPMI_ACCOUNT = { username: 'ipmi-operator', password: 'ipmi-secret' };

export interface SystemMachineOptions {
  /** Default: bios. */
  firmware?: 'bios' | 'uefi';
  /** What the conductor manages it by. Default: redfish. */
  bmc?: 'redfish' | 'ipmi';
  /** The node's boot interface. Default: ipxe. */
  boot?: 'ipxe' | 'redfish-virtual-media';
  /** What it boots without an override. Default: the disk first. */
  bootOrder?: ('disk' | 'network')[];
  memoryMb?: number;
  /** Size of its disk. Default: 1 GiB. */
  diskBytes?: number;
  /** How much of the demo's content is on its disk; 1 is a few hundred MB. Default: 0.1. */
  contentShare?: number;
  /** Its disk holds nothing but old data of somebody else, and it is off. */
  blank?: boolean;
}

export const machineId = (index: number): string => `machine-${index}`;
export const diskSerial = (index: number): string => `${machineId(index)}-disk0`;
/** What its disk calls itself: see bootMarker. */
export const labelOf = (index: number): string => `server-${index}`;
export const macOf = (index: number): string => `52:54:00:4d:56:${index.toString(16).padStart(2, '0')}`;

/** The machine's disk in a directory of its own: one that boots, or a blank one. */
export async function makeDisk(directory: string, index: number, { blank = false, diskBytes = DISK_BYTES, contentShare = 0.1 }: SystemMachineOptions): Promise<Disk> {
  const place = join(directory, `disk-${index}`);
  await mkdir(place);
  return blank ? makeUsedDisk(join(place, 'disk.img'), diskBytes) : buildSystemDisk(place, { label: labelOf(index), kernel: ramdiskFile('vmlinuz'), sizeBytes: diskBytes, share: contentShare });
}

/** The machine in the rack's configuration. */
export function rackMachine(index: number, disk: Disk, { firmware = 'bios', bmc = 'redfish', bootOrder = ['disk', 'network'], memoryMb = MEMORY_MB, blank = false }: SystemMachineOptions): RackConfigInput['machines'][number] {
  return {
    id: machineId(index),
    macs: [macOf(index)],
    disks: [disk.path],
    vm: { firmware, memory_mb: memoryMb, boot_order: bootOrder, network: { bridge: PROVISIONING.bridge } },
    power: blank ? 'Off' : 'On',
    ...(bmc === 'ipmi' ? { ipmi: IPMI_ACCOUNT } : {}),
  };
}
