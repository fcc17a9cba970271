import type { RecordedDisk } from '../../protocol/deploy-commands.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { Plan, PlanCheck } from '../../protocol/plan.ts';
import { compileHints, type HintedDevice } from '../../protocol/root-device-hints.ts';
import { chooseTarget as chooseDisk, followsRecord, MINIMUM_ROOT_BYTES } from '../../protocol/target-disk.ts';

type InventoryDisk = Inventory['disks'][number];
export type TargetDisk = NonNullable<Plan['target_disk']> & { sectorSizeBytes: number | null; driver: string | null };

export interface TargetChoice {
  /** Null: not known before the ramdisk has looked. */
  disk: TargetDisk | null;
  check: PlanCheck;
}

export interface TargetQuestion {
  inventory: Inventory | null;
  recordedDisk: RecordedDisk | null;
  hints: Record<string, unknown> | null;
}

/** What an inventory does not tell of a disk: only the ramdisk can compare these hints. */
const RAMDISK_HINTS = ['hctl', 'by_path', 'wwn_with_extension', 'wwn_vendor_extension'];
const NAME_IT = 'name the disk with a root device hint, for example: baremetal node set NODE --property root_device=\'{"serial": "SERIAL"}\'';
const CORRECT_THEM = "Correct root_device in the node's instance_info or properties.";

type Hints = Record<string, string | number | boolean>;
/** What is known of a machine and its node; the hints are ones that can be used. */
interface KnownTarget {
  inventory: Inventory | null;
  recorded: RecordedDisk | null;
  hints: Hints | null;
}

/** The disk that the ramdisk would write, by the rule that it uses itself (protocol/target-disk.ts), as far as the inventory tells. */
export function chooseTarget({ inventory, recordedDisk, hints: given }: TargetQuestion): TargetChoice {
  const hints = given !== null && Object.keys(given).length > 0 ? given : null;
  const problem = hints === null ? null : findProblem(hints);
  if (problem !== null) return choice(null, 'fail', JSON.stringify(hints), null, `The root device hints can not be used: ${problem}. ${CORRECT_THEM}`);
  const recorded = recordedDisk !== null && (recordedDisk.serial !== null || recordedDisk.wwn !== null) ? recordedDisk : null;
  const known = { inventory, recorded, hints: hints as Hints | null };
  if (recorded !== null && followsRecord(recorded, known.hints)) return recordedTarget(recorded, known);
  return known.hints !== null ? hintedTarget(known.hints, known) : onlyTarget(inventory);
}

function recordedTarget(recorded: RecordedDisk, { inventory, hints }: KnownTarget): TargetChoice {
  const expected = describeIdentity(recorded);
  const unseen = { name: null, serial: recorded.serial, wwn: recorded.wwn, size_bytes: recorded.size_bytes, sectorSizeBytes: null, driver: null };
  if (inventory === null) return choice(unseen, 'pass', expected, null, `The disk that the node has recorded (${expected}) is written; the ramdisk refuses when it is not there${hints === null ? '' : ', or does not match the root device hints'}.`);
  const opaque = opaqueHints(hints);
  const comparable = hints === null ? null : Object.fromEntries(Object.entries(hints).filter(([name]) => !opaque.includes(name)));
  const answer = chooseDisk({ disks: inventory.disks.map(hintedDevice), recorded, hints: comparable });
  if (answer.disk !== null) {
    const { disk } = answer.disk;
    const written = `The disk that the node has recorded (${expected}) is written`;
    if (opaque.length > 0) return choice(targetOf(disk), 'warn', expected, describeDisk(disk), `${written}, if it matches the hint ${opaque.join(', ')}, which only the ramdisk can compare; if not, it refuses.`);
    return choice(targetOf(disk), 'pass', expected, describeDisk(disk), `${written}.`);
  }
  const found = describeDisks(answer.among.map(({ disk }) => disk));
  const messages: Partial<Record<typeof answer.refusal, string>> = {
    'recorded disk ambiguous': `Several disks are what the node has recorded (${expected}): ${NAME_IT}.`,
    'hints contradict record': `The disk that the node has recorded (${expected}) does not match the root device hints ${JSON.stringify(hints)}. ${CORRECT_THEM} To write another disk, ${NAME_IT}.`,
  };
  const missing = `The disk that the node has recorded (${expected}) was not among those that the ramdisk last found. If it was replaced, ${NAME_IT}. If it was put back since, clean the node by hand first, so that the ramdisk looks again.`;
  return choice(null, 'fail', expected, found, messages[answer.refusal] ?? missing);
}

/** `recorded`: a disk that is not the one that the hints name. */
function hintedTarget(hints: Hints, { inventory, recorded: replaced }: KnownTarget): TargetChoice {
  const expected = JSON.stringify(hints);
  if (inventory === null) return choice(null, 'pass', expected, null, 'The disk that the root device hints name is written; the ramdisk refuses when there is none, or several.');
  const opaque = opaqueHints(hints);
  if (opaque.length > 0) return choice(null, 'warn', expected, describeDisks(inventory.disks), `Only the ramdisk can compare the hint ${opaque.join(', ')}: it decides which disk is written, or refuses.`);
  const answer = chooseDisk({ disks: inventory.disks.map(hintedDevice), recorded: null, hints });
  if (answer.disk !== null) return choice(targetOf(answer.disk.disk), 'pass', expected, describeDisk(answer.disk.disk), `The disk that the root device hints name (${describeDisk(answer.disk.disk)}) is written.`);
  const found = describeDisks(answer.among.map(({ disk }) => disk));
  if (answer.refusal === 'hints match several') return choice(null, 'fail', expected, found, `Several disks match the root device hints: ${NAME_IT}.`);
  if (replaced !== null) return choice(null, 'warn', expected, found, `The disk that the root device hints name was not among those that the ramdisk last found: as it is to be when it has replaced the recorded one (${describeIdentity(replaced)}) since. Nothing is written when the ramdisk does not find it.`);
  return choice(null, 'fail', expected, found, `No disk of the machine matches the root device hints. ${CORRECT_THEM}`);
}

function onlyTarget(inventory: Inventory | null): TargetChoice {
  const expected = 'a recorded disk, a root device hint, or a single disk of at least 4 GiB';
  if (inventory === null) return choice(null, 'warn', expected, null, `Nothing names the disk and nothing is known of the machine yet: the ramdisk takes its only disk, and refuses when there are several. To be certain, ${NAME_IT}.`);
  const answer = chooseDisk({ disks: inventory.disks.map(hintedDevice), recorded: null, hints: null });
  if (answer.disk !== null) return choice(targetOf(answer.disk.disk), 'pass', expected, describeDisk(answer.disk.disk), `The machine's only disk (${describeDisk(answer.disk.disk)}) is written.`);
  const found = describeDisks(answer.among.map(({ disk }) => disk));
  const none = answer.among.every(({ sizeBytes }) => sizeBytes < MINIMUM_ROOT_BYTES);
  return choice(null, 'fail', expected, found, none ? `The machine has no disk of at least 4 GiB; to write a smaller one, ${NAME_IT}.` : `The machine has several disks and nothing says which one may be overwritten: ${NAME_IT}.`);
}

const opaqueHints = (hints: Hints | null): string[] => Object.keys(hints ?? {}).filter((name) => RAMDISK_HINTS.includes(name));

const choice = (disk: TargetDisk | null, result: PlanCheck['result'], expected: string, found: string | null, message: string): TargetChoice => ({ disk, check: { name: 'target_disk', result, expected, found, message } });

/** What is wrong with hints as they were set; null: nothing. */
function findProblem(hints: Record<string, unknown>): string | null {
  const wrong = Object.entries(hints).find(([, value]) => !['string', 'number', 'boolean'].includes(typeof value));
  if (wrong) return `the hint "${wrong[0]}" needs a text, a number or a boolean, found ${JSON.stringify(wrong[1])}`;
  try {
    compileHints(hints as Hints);
    return null;
  } catch (error) {
    return messageOf(error); // told as a check that fails
  }
}

const hintedDevice = (disk: InventoryDisk): HintedDevice & { disk: InventoryDisk } => {
  const { name, size: sizeBytes, rotational, model, vendor, serial, wwn } = disk;
  return { name, sizeBytes, rotational, model, vendor, serial, wwn, wwnWithExtension: null, wwnVendorExtension: null, hctl: null, byPath: null, disk };
};
const targetOf = ({ name, serial, wwn, size, sector_size, driver }: InventoryDisk): TargetDisk => ({ name, serial, wwn, size_bytes: size, sectorSizeBytes: sector_size, driver });

/** A disk's serial number and WWN, as far as known. */
export const describeIdentity = ({ serial, wwn }: { serial: string | null; wwn: string | null }): string =>
  [serial === null ? null : `serial ${serial}`, wwn === null ? null : `wwn ${wwn}`].filter((part) => part !== null).join(', ') || 'without serial and WWN';
const describeDisk = (disk: InventoryDisk): string => `${disk.name}, ${describeBytes(disk.size)}, ${describeIdentity(disk)}`;
const describeDisks = (disks: readonly InventoryDisk[]): string => disks.map(describeDisk).join('; ') || 'no disks at all';
export const describeBytes = (bytes: number): string => `${bytes} bytes (${(bytes / 1024 ** 3).toFixed(2)} GiB)`;
