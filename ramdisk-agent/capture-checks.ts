import { OperationFailedError } from '../protocol/errors.ts';
import { DiskReader } from './disk-layout/disk-reader.ts';
import { findForeignParts } from './disk-layout/foreign-parts.ts';
import { EFI_SYSTEM_PARTITIONS, readPartitionTable, type PartitionTable } from './disk-layout/partition-table.ts';
import { describeDevice, type BlockDevice } from './devices/block-device.ts';

const BIOS_BOOT_PARTITION = '21686148-6449-6E6F-744E-656564454649';
const BOOT_CODE_BYTES = 440;

/**
 * Refuses a disk whose image could not boot a server by itself: one that does not look bootable, or that is part of
 * something with parts on other disks. What is inside an encrypted or a nested volume is not looked at.
 * @throws OperationFailedError with all reasons.
 */
export async function ensureCapturable(device: BlockDevice, signal: AbortSignal): Promise<void> {
  const table = await readPartitionTable(device.name, signal);
  const bootProblems = await DiskReader.using(device.name, device.sizeBytes, (disk) => findBootProblem(disk, table));
  const reasons = [...bootProblems, ...(await findForeignParts(device, table, signal))];
  if (reasons.length === 0) return;
  throw new OperationFailedError(`${describeDevice(device)} is not captured: ${reasons.join('; ')}. Name the right disk with a root device hint, or set allow_partial to capture it all the same.`, { device: device.name, reasons });
}

/** A boot record with code or an active partition (BIOS), a BIOS boot partition, or an EFI system partition. */
async function findBootProblem(disk: DiskReader, table: PartitionTable | null): Promise<string[]> {
  const record = await disk.read(0, 512);
  const signed = record.readUInt16LE(510) === 0xaa55;
  const hasCode = signed && record.subarray(0, BOOT_CODE_BYTES).some((byte) => byte !== 0);
  const hasBootPartition = (table?.partitions ?? []).some(({ type, active }) => active || type === BIOS_BOOT_PARTITION || EFI_SYSTEM_PARTITIONS.has(type));
  return hasCode || hasBootPartition ? [] : ['it does not look bootable (no boot code, no active, BIOS boot or EFI system partition)'];
}
