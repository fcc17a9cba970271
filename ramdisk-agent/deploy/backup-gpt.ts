import type { WriteImageResult } from '../../protocol/deploy-commands.ts';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { DiskReader } from '../disk-layout/disk-reader.ts';

const TIMEOUT_MS = 60_000;
const SIGNATURE = 'EFI PART';
/** AlternateLBA of the header (UEFI 2.10, 5.3.2). */
const ALTERNATE_SECTOR_OFFSET = 32;

/**
 * Moves the backup of a GPT to the end of the disk, where firmware looks for it, if the image was of a smaller disk.
 * @throws OperationFailedError of sfdisk, and when the table is not valid afterwards.
 */
export async function moveBackupGpt(device: BlockDevice, signal: AbortSignal): Promise<WriteImageResult['backup_gpt']> {
  const lastSector = Math.floor(device.sizeBytes / device.sectorSizeBytes) - 1;
  const found = await readBackupSector(device);
  if (found === null) return 'none';
  if (found === lastSector) return 'in place';
  await runSfdisk(['--relocate', 'gpt-bak-std', device.name], signal);
  const moved = await readBackupSector(device);
  // sfdisk --verify exits with 0 whatever it finds
  const verdict = await runProgram('sfdisk', ['--verify', device.name], { timeoutMs: TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
  if (moved !== lastSector || !verdict.stdout.includes('No errors detected')) {
    throw new OperationFailedError(`the partition table of ${device.name} is not valid after its backup was moved to sector ${lastSector}: it names sector ${moved}, and sfdisk says: ${`${verdict.stdout} ${verdict.stderr}`.replaceAll(/\s+/g, ' ').trim()}`, { device: device.name });
  }
  return 'moved';
}

/** Changes a partition table with sfdisk, which is to leave the kernel's view of the partitions alone. */
export async function runSfdisk(args: readonly string[], signal: AbortSignal): Promise<void> {
  await runProgram('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', ...args], { timeoutMs: TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
}

/** Sector of the backup as the header in sector 1 names it; null without a GPT. */
async function readBackupSector(device: BlockDevice): Promise<number | null> {
  const header = await DiskReader.using(device.name, device.sizeBytes, (disk) => disk.read(device.sectorSizeBytes, 512));
  return header.toString('latin1', 0, SIGNATURE.length) === SIGNATURE ? Number(header.readBigUInt64LE(ALTERNATE_SECTOR_OFFSET)) : null;
}
