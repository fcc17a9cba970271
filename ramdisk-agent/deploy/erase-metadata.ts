import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import { describeDevice, type BlockDevice } from '../devices/block-device.ts';
import type { Region } from '../disk-layout/disk-reader.ts';
import { readPartitionTable } from '../disk-layout/partition-table.ts';
import { probeRegion } from '../disk-layout/signatures.ts';
import { WrittenDisk } from './written-disk.ts';

const MIB = 1024 ** 2;
const TIMEOUT_MS = 60_000;

/**
 * Wipes what names the content of a disk: beginning and end of every partition, then those of the disk, then every signature
 * that wipefs(8) still finds. The partition table goes last: an interrupted wipe can be begun again.
 * @returns what was there, in words. @throws OperationFailedError when something is still recognized afterwards.
 */
export async function eraseMetadata(device: BlockDevice, signal: AbortSignal): Promise<string[]> {
  const table = await readPartitionTable(device.name, signal);
  const partitions = table?.partitions ?? [];
  const whole: Region = { name: 'the whole disk', startBytes: 0, sizeBytes: device.sizeBytes };
  const wiped: string[] = [];
  await WrittenDisk.using(device, signal, async (disk) => {
    for (const partition of partitions) {
      wiped.push(await describeContent(device, partition, signal));
      await zeroEnds(disk, partition);
    }
    wiped.push(await describeContent(device, whole, signal));
    await disk.wipeEnds();
  });
  await runProgram('wipefs', ['--all', '--force', device.name], { timeoutMs: TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
  const left = await probeRegion(device.name, whole, signal);
  if (left.length > 0) throw new OperationFailedError(`${describeDevice(device)} still holds ${left.join(', ')} after it was wiped`, { device: device.name });
  return wiped;
}

async function zeroEnds(disk: WrittenDisk, { startBytes, sizeBytes }: Region): Promise<void> {
  const [start, end] = [Math.min(startBytes, disk.device.sizeBytes), Math.min(startBytes + sizeBytes, disk.device.sizeBytes)];
  await disk.zero(start, Math.min(start + MIB, end));
  await disk.zero(Math.max(start, end - MIB), end);
}

async function describeContent(device: BlockDevice, region: Region, signal: AbortSignal): Promise<string> {
  const found = await probeRegion(device.name, region, signal);
  return `${region.name}: ${found.length === 0 ? 'nothing known' : found.join(', ')}`;
}
