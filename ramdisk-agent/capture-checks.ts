import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram } from '../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './capture/child-environment.ts';
import { readBtrfsMember } from './disk-layout/btrfs-member.ts';
import { DiskReader, type Region } from './disk-layout/disk-reader.ts';
import { readLvmMember } from './disk-layout/lvm-member.ts';
import { readMdMember } from './disk-layout/md-member.ts';
import type { Member } from './disk-layout/members.ts';
import { readPartitionTable, type PartitionTable } from './disk-layout/partition-table.ts';
import { describeDevice, type BlockDevice } from './devices/block-device.ts';

const BIOS_BOOT_PARTITION = '21686148-6449-6E6F-744E-656564454649';
const EFI_SYSTEM_PARTITIONS = new Set(['C12A7328-F81F-11D2-BA4B-00A0C93EC93B', 'EF']);
const BOOT_CODE_BYTES = 440;
const BLKID_TIMEOUT_MS = 30_000;
const BLKID_NOTHING_FOUND = 2;
const BLKID_SEVERAL_FOUND = 8;
/** Members of wholes of which we cannot tell here how many disks they span (names of `blkid -k`). */
const OPAQUE_MEMBERS =
  'zfs_member,bcache,drbd,stratis,ceph_bluestore,VMFS_volume_member,LVM1_member,ddf_raid_member,isw_raid_member,lsi_mega_raid_member,via_raid_member,silicon_medley_raid_member,nvidia_raid_member,promise_fasttrack_raid_member,hpt45x_raid_member,hpt37x_raid_member,adaptec_raid_member,jmicron_raid_member';

/**
 * Refuses a disk whose image could not boot a server by itself: one that does not look bootable, or that is part of
 * something with parts on other disks. What is inside an encrypted or a nested volume is not looked at.
 * @throws OperationFailedError with all reasons.
 */
export async function ensureCapturable(device: BlockDevice, signal: AbortSignal): Promise<void> {
  const table = await readPartitionTable(device.name, signal);
  const whole: Region = { name: 'the whole disk', startBytes: 0, sizeBytes: device.sizeBytes };
  const regions = [whole, ...(table?.partitions ?? [])];
  const reasons = await DiskReader.using(device.name, device.sizeBytes, async (disk) => [...(await findBootProblem(disk, table)), ...(await findForeignParts(disk, regions))]);
  for (const region of regions) reasons.push(...(await findOpaqueMember(device.name, region, signal)));
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

async function findForeignParts(disk: DiskReader, regions: readonly Region[]): Promise<string[]> {
  const members: { region: Region; member: Member }[] = [];
  for (const region of regions) {
    for (const read of [readLvmMember, readMdMember, readBtrfsMember]) {
      const member = await read(disk, region);
      if (member) members.push({ region, member });
    }
  }
  const wholes = new Map<string, typeof members>();
  for (const part of members) {
    const key = `${part.member.kind} ${part.member.wholeId}`;
    wholes.set(key, [...(wholes.get(key) ?? []), part]);
  }
  return [...wholes.values()].flatMap((parts) => {
    const { region, member } = parts[0]!;
    const here = new Set(parts.map((part) => part.member.partId)).size;
    if (member.parts !== null && member.parts <= here) return [];
    const needs = member.parts === null ? 'parts on other disks' : `${member.parts} parts of which ${here === 1 ? 'one is' : `${here} are`} on this disk`;
    return [`${region.name} belongs to the ${member.kind} "${member.wholeName}" that has ${needs}`];
  });
}

/** Low-level probing of one region of this very disk: no other device is looked at (blkid(8), -p, --offset, --size). */
async function findOpaqueMember(path: string, region: Region, signal: AbortSignal): Promise<string[]> {
  const args = ['--probe', '--offset', String(region.startBytes), '--size', String(region.sizeBytes), '--match-types', OPAQUE_MEMBERS, '--match-tag', 'TYPE', '--output', 'value', path];
  const reply = await runProgram('blkid', args, { timeoutMs: BLKID_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT, acceptedExitCodes: [0, BLKID_NOTHING_FOUND, BLKID_SEVERAL_FOUND] });
  const type = reply.exitCode === BLKID_SEVERAL_FOUND ? 'several kinds of array at once' : reply.stdout.trim();
  return reply.exitCode === BLKID_NOTHING_FOUND || type === '' ? [] : [`${region.name} is a member of something that may span other disks (${type})`];
}
