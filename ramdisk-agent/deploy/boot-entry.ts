import type { WriteImageResult } from '../../protocol/deploy-commands.ts';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { EFI_SYSTEM_PARTITIONS, readPartitionTable } from '../disk-layout/partition-table.ts';
import type { Hardware } from '../hardware/hardware.ts';
import { findLoaders } from './esp-loader.ts';

/**
 * Makes UEFI firmware boot the written disk: by a boot entry, or, where none can be made, by the path that firmware looks at
 * without one. @throws OperationFailedError when neither is possible.
 */
export async function provideBootEntry(device: BlockDevice, hardware: Hardware, label: string, signal: AbortSignal): Promise<WriteImageResult['boot_entry']> {
  const { boot } = await hardware.facts();
  if (boot.current_boot_mode === 'bios') return 'not needed';
  const partition = (await readPartitionTable(device.name, signal))?.partitions.find(({ type }) => EFI_SYSTEM_PARTITIONS.has(type));
  if (!partition) throw new OperationFailedError(`this machine boots by UEFI, and ${device.name} has no EFI system partition: it would not boot`, { device: device.name });
  const { preferred, hasFallback } = await findLoaders(device.name, partition, signal);
  if (preferred === null) throw new OperationFailedError(`this machine boots by UEFI, and the EFI system partition (${partition.name} of ${device.name}) has no boot loader: neither \\EFI\\<vendor>\\shim*.efi or grub*.efi nor \\EFI\\BOOT\\BOOT*.EFI`, { device: device.name });
  const problem = await createEntry(hardware, { disk: device.name, partitionNumber: partition.number, loader: preferred, label }, signal);
  if (problem === null) return 'created';
  if (hasFallback) return 'fallback path';
  throw new OperationFailedError(`no boot entry could be made for ${preferred} (${problem}), and the EFI system partition has no \\EFI\\BOOT\\BOOT*.EFI that firmware would find without one`, { device: device.name, loader: preferred });
}

/** Returns what went wrong; null: nothing. */
async function createEntry({ bootEntries }: Hardware, entry: Parameters<NonNullable<Hardware['bootEntries']>['replace']>[0], signal: AbortSignal): Promise<string | null> {
  if (!bootEntries) return "this machine's firmware has no boot entries that can be changed";
  try {
    await bootEntries.replace(entry, signal);
    return null;
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error); // the fallback path may do; told when it does not
  }
}
