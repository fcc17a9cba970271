import type { RecordedDisk, WriteImageParams } from '../../protocol/deploy-commands.ts';
import { OperationFailedError } from '../../protocol/errors.ts';
import { chooseTarget, type TargetAnswer, type TargetNaming } from '../../protocol/target-disk.ts';
import { describeDevice, type BlockDevice } from '../devices/block-device.ts';
import { findForeignParts } from '../disk-layout/foreign-parts.ts';
import { readPartitionTable } from '../disk-layout/partition-table.ts';

/** Which disk may be written, as a command names it. */
export type TargetDisk = Pick<WriteImageParams, 'recorded_disk' | 'root_device'>;

export interface ChosenDisk {
  device: BlockDevice;
  by: TargetNaming;
}

/**
 * The disk that may be overwritten, by the rule of protocol/target-disk.ts.
 * @throws OperationFailedError when there is no such disk, or more than one, with all of them; InvalidParameterError for hints that make no sense.
 */
export function chooseTargetDisk(devices: readonly BlockDevice[], target: TargetDisk): ChosenDisk {
  const answer = chooseTarget({ disks: devices, recorded: target.recorded_disk ?? null, hints: target.root_device ?? null });
  if (answer.disk !== null) return { device: answer.disk, by: answer.by };
  throw new OperationFailedError(`${describeRefusal(answer, target)}: nothing is written. ${WHAT_TO_DO[answer.refusal]}`, { found: answer.among.map(({ name }) => name) });
}

type Refused = Extract<TargetAnswer<BlockDevice>, { disk: null }>;

const NAME_IT = 'Name the disk to overwrite with a root device hint (root_device), for example its serial.';
const WHAT_TO_DO: Readonly<Record<Refused['refusal'], string>> = {
  'recorded disk missing': `If it was replaced: ${NAME_IT}`,
  'recorded disk ambiguous': NAME_IT,
  'hints contradict record': 'Correct the hints, or name another disk by its serial.',
  'hints match none': 'Correct the hints.',
  'hints match several': NAME_IT,
  'nothing names it': NAME_IT,
};

function describeRefusal({ refusal, among }: Refused, { recorded_disk: recorded, root_device: hints }: TargetDisk): string {
  const found = listDevices(among);
  switch (refusal) {
    case 'recorded disk missing':
      return `expected exactly one disk with what the node has recorded (${describeRecord(recorded)}), found none, but ${found}`;
    case 'recorded disk ambiguous':
      return `expected exactly one disk with what the node has recorded (${describeRecord(recorded)}), found ${among.length}: ${found}`;
    case 'hints contradict record':
      return `the recorded disk ${found} does not match the root device hints ${JSON.stringify(hints)}`;
    case 'hints match none':
      return `no disk matches the root device hints ${JSON.stringify(hints)}; found ${found}`;
    case 'hints match several':
      return `expected exactly one disk that matches the root device hints ${JSON.stringify(hints)}, found ${among.length}: ${found}`;
    case 'nothing names it':
      return `the node has no disk recorded and no root device hint, so there has to be exactly one disk of at least 4 GiB; found ${found}`;
  }
}

const describeRecord = (recorded: RecordedDisk | undefined): string => [recorded?.serial && `serial ${recorded.serial}`, recorded?.wwn && `wwn ${recorded.wwn}`].filter(Boolean).join(', ');

/** @throws OperationFailedError when the disk holds parts of something that spans other disks, with all reasons. */
export async function ensureNoForeignParts(device: BlockDevice, signal: AbortSignal): Promise<void> {
  const reasons = await listForeignParts(device, signal);
  if (reasons.length === 0) return;
  throw new OperationFailedError(`${describeDevice(device)} is not overwritten: ${reasons.join('; ')}. Name the right disk, or take this one out of what it belongs to (clean the node with this disk named by its serial, or wipefs) if it is to be overwritten.`, { device: device.name, reasons });
}

/**
 * Whether a disk may be cleaned that holds parts of something that spans other disks: only the very disk that the node has
 * recorded, or that a hint names by its serial number or WWN. That is what cleaning is for, and nobody else could undo it.
 * @returns what it held, in words. @throws OperationFailedError when it was chosen by less.
 */
export async function ensureMayBeCleaned({ device, by }: ChosenDisk, signal: AbortSignal): Promise<string[]> {
  if (by !== 'record' && by !== 'identity hint') {
    await ensureNoForeignParts(device, signal);
    return [];
  }
  return listForeignParts(device, signal);
}

const listForeignParts = async (device: BlockDevice, signal: AbortSignal): Promise<string[]> => findForeignParts(device, await readPartitionTable(device.name, signal), signal);

const listDevices = (devices: readonly BlockDevice[]): string => (devices.length === 0 ? 'no disks at all' : devices.map(describeDevice).join(', '));
