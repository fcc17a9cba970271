import type { BlockDevice } from '../devices/block-device.ts';
import { readBtrfsMember } from './btrfs-member.ts';
import { DiskReader, type Region } from './disk-reader.ts';
import { readLvmMember } from './lvm-member.ts';
import { readMdMember } from './md-member.ts';
import type { Member } from './members.ts';
import type { PartitionTable } from './partition-table.ts';
import { probeRegion } from './signatures.ts';

/** Members of wholes of which we cannot tell here how many disks they span (names of `blkid -k`). */
const OPAQUE_MEMBERS: readonly string[] = [
  'zfs_member', 'bcache', 'drbd', 'stratis', 'ceph_bluestore', 'VMFS_volume_member', 'LVM1_member', 'ddf_raid_member',
  'isw_raid_member', 'lsi_mega_raid_member', 'via_raid_member', 'silicon_medley_raid_member', 'nvidia_raid_member',
  'promise_fasttrack_raid_member', 'hpt45x_raid_member', 'hpt37x_raid_member', 'adaptec_raid_member', 'jmicron_raid_member',
];

/** What of a disk belongs to something with parts on other disks (or with parts that nobody can tell), in words; empty: nothing does. */
export async function findForeignParts(device: BlockDevice, table: PartitionTable | null, signal: AbortSignal): Promise<string[]> {
  const regions = listRegions(device, table);
  const found = await DiskReader.using(device.name, device.sizeBytes, (disk) => findSpanningMembers(disk, regions));
  for (const region of regions) {
    const types = await probeRegion(device.name, region, signal, OPAQUE_MEMBERS);
    found.push(...types.map((type) => `${region.name} is a member of something that may span other disks (${type})`));
  }
  return found;
}

/** The whole disk, and its partitions. */
export const listRegions = (device: BlockDevice, table: PartitionTable | null): Region[] => [{ name: 'the whole disk', startBytes: 0, sizeBytes: device.sizeBytes }, ...(table?.partitions ?? [])];

async function findSpanningMembers(disk: DiskReader, regions: readonly Region[]): Promise<string[]> {
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
