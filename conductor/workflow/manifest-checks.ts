/** What an image's manifest says about where it came from, against the machine that it shall go to. */
import type { ImageManifest } from '../../protocol/image-manifest.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { PlanCheck } from '../../protocol/plan.ts';
import { isSameDisk } from '../../protocol/target-disk.ts';
import { describeIdentity, type TargetDisk } from './target-disk.ts';

/** Partition tables count in sectors: one made for 512 bytes means other places on a disk of 4096, and the reverse. */
export function checkSectorSize(manifest: ImageManifest, target: TargetDisk | null): PlanCheck {
  const needed = manifest.disk.sector_size_bytes;
  const found = target?.sectorSizeBytes ?? null;
  const base = { name: 'sector_size', expected: `${needed} bytes`, found: found === null ? null : `${found} bytes` };
  if (found === null) return { ...base, result: 'warn', message: 'The sector size of the target disk is not known. Make sure that it is the same: a partition table is valid for one sector size only.' };
  if (found !== needed) return { ...base, result: 'fail', message: `The image was made of a disk with sectors of ${needed} bytes, the target has ${found}: its partition table would not be valid there. Choose a disk with the same sector size.` };
  return { ...base, result: 'pass', message: 'The sector sizes are the same.' };
}

/** An initramfs often holds only the drivers of the machine that it was made on; nobody can tell from outside. */
export function checkDrivers(manifest: ImageManifest, inventory: Inventory | null, target: TargetDisk | null): PlanCheck[] {
  const disks = target?.driver ? [target.driver] : (inventory?.disks.map(({ driver }) => driver) ?? []);
  return [
    compareDrivers('storage_drivers', 'disk', manifest.storage_drivers, inventory === null ? null : disks),
    compareDrivers('network_drivers', 'network', manifest.network_drivers, inventory === null ? null : inventory.interfaces.map(({ driver }) => driver)),
  ];
}

function compareDrivers(name: string, kind: string, had: readonly string[], needs: readonly (string | null)[] | null): PlanCheck {
  const needed = [...new Set((needs ?? []).filter((driver) => driver !== null))];
  const base = { name, expected: had.join(', ') || null, found: needed.join(', ') || null };
  if (needed.length === 0 || had.length === 0) return { ...base, result: 'warn', message: `The ${kind} drivers of ${had.length === 0 ? 'the machine that the image was made of' : 'this machine'} are not known, so they can not be compared.` };
  const missing = needed.filter((driver) => !had.includes(driver));
  if (missing.length === 0) return { ...base, result: 'pass', message: `The machine needs no other ${kind} drivers than the one that the image was made of.` };
  return { ...base, result: 'warn', message: `The machine needs the ${kind} driver ${missing.join(', ')}, which the machine that the image was made of did not. Make sure that the system in the image has it, in its initramfs too.` };
}

/** Restore or spawn, and what follows for the identity of the system in the image. */
export function checkOrigin(manifest: ImageManifest, target: TargetDisk | null, { node, verb, generalize, originExists = true }: { node: { uuid: string }; verb: 'deploy' | 'rebuild'; generalize: boolean; originExists?: boolean }): PlanCheck[] {
  const base = { expected: manifest.node_uuid, found: node.uuid };
  if (manifest.node_uuid !== node.uuid) {
    const origin: PlanCheck = { ...base, name: 'origin', result: 'pass', message: `The image was taken of another machine (${manifest.node_uuid}): this is a copy of it.` };
    return [origin, checkClone(manifest, verb, generalize, originExists)];
  }
  const exact: PlanCheck = generalize
    ? { name: 'generalize', expected: 'an exact restore', found: 'generalize', result: 'warn', message: 'The image is of this very machine, but with --generalize it gets another machine-id, host name and SSH host keys. Leave it out for an exact restore.' }
    : { name: 'generalize', expected: 'an exact restore', found: null, result: 'pass', message: 'The machine keeps its identity.' };
  return [{ ...base, name: 'origin', result: 'pass', message: 'The image was taken of this machine: this is a restore.' }, checkDiskIdentity(manifest, target), exact];
}

function checkClone(manifest: ImageManifest, verb: 'deploy' | 'rebuild', generalize: boolean, originExists: boolean): PlanCheck {
  const base = { name: 'generalize', expected: originExists ? 'generalize' : null, found: generalize ? 'generalize' : null };
  if (generalize) return { ...base, result: 'pass', message: 'The copy gets a machine-id, host name and SSH host keys of its own.' };
  if (!originExists) return { ...base, result: 'pass', message: 'The machine that the image was taken of is no longer enrolled: the copy takes its identity over.' };
  return { ...base, result: 'warn', message: `After this ${verb} two machines have the same machine-id, host name and SSH host keys (the other is ${manifest.node_uuid}) and disturb each other in one network. Use --generalize, or keep the other one off.` };
}

function checkDiskIdentity({ disk }: ImageManifest, target: TargetDisk | null): PlanCheck {
  const known = target !== null && (target.serial !== null || target.wwn !== null);
  const base = { name: 'disk_serial', expected: describeIdentity(disk), found: known ? describeIdentity(target) : null };
  if (!known || (disk.serial === null && disk.wwn === null)) return { ...base, result: 'warn', message: 'It is not known whether this is the disk that the image was taken of.' };
  if (isSameDisk(disk, target)) return { ...base, result: 'pass', message: 'This is the disk that the image was taken of.' };
  return { ...base, result: 'warn', message: 'This is not the disk that the image was taken of: the disk was replaced. Make sure that it is the right one.' };
}
