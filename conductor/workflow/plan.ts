import type { RecordedDisk } from '../../protocol/deploy-commands.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { Plan, PlanCheck, PlanResult } from '../../protocol/plan.ts';
import type { NodeRow } from '../db/rows.ts';
import type { ImageFacts } from '../drivers/deployment.ts';
import { checkBootMode } from './boot-mode-check.ts';
import { checkDrivers, checkOrigin, checkSectorSize } from './manifest-checks.ts';
import { chooseTarget, describeBytes, type TargetDisk } from './target-disk.ts';

export interface DeploymentQuestion {
  verb: 'deploy' | 'rebuild';
  node: Readonly<NodeRow>;
  /** Null: the deploy interface writes nothing. */
  image: ImageFacts | null;
  /** What the ramdisk last found; null when it never looked. */
  inventory: Inventory | null;
  recordedDisk: RecordedDisk | null;
  /** Root device hints, already chosen between instance_info and properties. */
  hints: Record<string, unknown> | null;
  generalize: boolean;
  /** Whether the node that the image was taken of is still ours. Default: it may be. */
  originExists?: boolean;
  /** Checks that need more than documents (space, services), made by the caller. */
  extra: readonly PlanCheck[];
}

/** Everything that can be told beforehand about a deployment or a restore. Pure: the same answer for `--plan` and for the real request. */
export function planDeployment(question: DeploymentQuestion): Plan {
  const { verb, node, image, generalize, extra } = question;
  const { disk, check } = chooseTarget(question);
  const checks = image === null ? [...extra] : [check, ...checkImage(question, image, disk), ...extra];
  return {
    verb,
    node_uuid: node.uuid,
    image: image === null ? NO_IMAGE : { source: image.source, name: image.name, disk_format: image.diskFormat, size_bytes: image.sizeBytes, virtual_size_bytes: virtualSizeOf(image) },
    target_disk: image === null || disk === null ? null : { name: disk.name, serial: disk.serial, wwn: disk.wwn, size_bytes: disk.size_bytes },
    generalize,
    result: worstOf(checks),
    checks,
  };
}

const NO_IMAGE: Plan['image'] = { source: 'none', name: null, disk_format: 'none', size_bytes: null, virtual_size_bytes: null };
const SEVERITY: readonly PlanResult[] = ['pass', 'warn', 'fail'];
const worstOf = (checks: readonly PlanCheck[]): PlanResult => SEVERITY[Math.max(0, ...checks.map(({ result }) => SEVERITY.indexOf(result)))] ?? 'pass';
const virtualSizeOf = (image: ImageFacts): number | null => image.virtualSizeBytes ?? image.manifest?.image.virtual_size_bytes ?? null;

function checkImage(question: DeploymentQuestion, image: ImageFacts, target: TargetDisk | null): PlanCheck[] {
  const { node, inventory } = question;
  const { manifest } = image;
  const checks = [checkDiskSize(image, target), ...checkMinDisk(image, target), checkBootMode(image.bootMode, inventory?.boot.current_boot_mode ?? null, node.properties)];
  if (manifest === null) return [...checks, NO_MANIFEST];
  return [...checks, checkSectorSize(manifest, target), ...checkDrivers(manifest, inventory, target), ...checkOrigin(manifest, target, question)];
}

const NO_MANIFEST: PlanCheck = {
  name: 'manifest',
  result: 'warn',
  expected: 'an image with a manifest, as our snapshots have',
  found: null,
  message: 'The image does not tell what machine it was made of: sector size, drivers and identity can not be compared. Make sure yourself that it suits this machine.',
};

function checkDiskSize(image: ImageFacts, target: TargetDisk | null): PlanCheck {
  const neededBytes = virtualSizeOf(image);
  const foundBytes = target?.size_bytes ?? null;
  const base = { name: 'disk_size', expected: neededBytes === null ? null : `at least ${describeBytes(neededBytes)}`, found: foundBytes === null ? null : describeBytes(foundBytes) };
  if (neededBytes === null) return { ...base, result: 'warn', message: 'The size of the disk that the image becomes is known only once it is fetched; the ramdisk compares it before a byte is written.' };
  if (foundBytes === null) return { ...base, result: 'warn', message: 'The size of the target disk is not known; the ramdisk compares it before a byte is written.' };
  if (foundBytes < neededBytes) return { ...base, result: 'fail', message: `The disk is ${neededBytes - foundBytes} bytes too small for the image. Choose a larger disk or machine.` };
  return { ...base, result: 'pass', message: foundBytes === neededBytes ? 'The disk is exactly as large as the image.' : `The image fits; ${foundBytes - neededBytes} bytes at the end of the disk stay free.` };
}

/** Only of images whose owner asks for a size. */
function checkMinDisk({ minDiskBytes }: ImageFacts, target: TargetDisk | null): PlanCheck[] {
  if (minDiskBytes <= 0) return [];
  const foundBytes = target?.size_bytes ?? null;
  const base = { name: 'min_disk', expected: `at least ${describeBytes(minDiskBytes)}`, found: foundBytes === null ? null : describeBytes(foundBytes) };
  if (foundBytes === null) return [{ ...base, result: 'warn', message: 'The size of the target disk is not known, so the image\'s min_disk can not be compared.' }];
  if (foundBytes < minDiskBytes) return [{ ...base, result: 'fail', message: 'The disk is smaller than what the image\'s owner asks for (min_disk). Choose a larger disk, or lower min_disk of the image when it is wrong.' }];
  return [{ ...base, result: 'pass', message: 'The disk has the size that the image\'s owner asks for.' }];
}
