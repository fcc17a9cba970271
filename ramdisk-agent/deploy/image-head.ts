import type { BootMode } from '../../protocol/inventory.ts';
import { PermanentFailure } from './permanent-failure.ts';

const GPT_SIGNATURE = 'EFI PART';
const SECTOR_SIZES = [512, 4096];
/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B as it is on disk: the first three groups are little-endian (UEFI 2.10, appendix A). */
const EFI_SYSTEM_PARTITION = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');
/** Of a master boot record: four entries of 16 bytes, the type at 4 (UEFI 2.10, 5.2.1). */
const MBR_ENTRIES = [446, 462, 478, 494];
const MBR_EFI_SYSTEM_PARTITION = 0xef;

/**
 * Refuses an image that cannot boot this machine, by the first MiB of its disk.
 * @throws PermanentFailure when its partition table was made for sectors of another size (a GPT's header is in sector 1 and
 *   counts in sectors), or when firmware that needs an EFI system partition would find none.
 */
export function ensureSuitable(head: Buffer, machine: { sectorSizeBytes: number; bootMode: BootMode }): void {
  const made = SECTOR_SIZES.filter((size) => head.toString('latin1', size, size + GPT_SIGNATURE.length) === GPT_SIGNATURE);
  if (made.length > 0 && !made.includes(machine.sectorSizeBytes)) {
    throw new PermanentFailure(`the image has a partition table for sectors of ${made.join(' or ')} bytes, the disk has sectors of ${machine.sectorSizeBytes}: it could not be read there. Deploy it to a disk with the same sector size.`);
  }
  const hasEfiPartition = made.length > 0 ? head.includes(EFI_SYSTEM_PARTITION) : MBR_ENTRIES.some((entry) => head[entry + 4] === MBR_EFI_SYSTEM_PARTITION);
  if (machine.bootMode === 'uefi' && !hasEfiPartition) {
    throw new PermanentFailure('this machine boots by UEFI, the image has no EFI system partition: it would not boot. Deploy an image that was made for UEFI, or switch the machine to BIOS mode.');
  }
}
