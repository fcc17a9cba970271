import { readBtrfsMember } from '../disk-layout/btrfs-member.ts';
import type { DiskReader } from '../disk-layout/disk-reader.ts';
import { readLvmMember } from '../disk-layout/lvm-member.ts';
import { readMdMember } from '../disk-layout/md-member.ts';
import { probeRegion } from '../disk-layout/signatures.ts';
import type { Extent } from '../qcow2/extents.ts';

/** What blkid calls these; it passes over those whose checksums are wrong. */
const MEMBERS = [['linux_raid_member', readMdMember], ['LVM2_member', readLvmMember], ['btrfs', readBtrfsMember]] as const;

/**
 * Everything that claims a range of a disk, in blkid's words (ext4, gpt, LVM2_member); empty: nothing that is known.
 * @throws when the range cannot be read or blkid fails.
 */
export async function findClaims(path: string, disk: DiskReader, { what, offsetBytes, sizeBytes }: Extent & { what: string }, signal: AbortSignal): Promise<string[]> {
  const region = { name: what, startBytes: offsetBytes, sizeBytes };
  const claims = new Set(await probeRegion(path, region, signal));
  for (const [name, read] of MEMBERS) if (await read(disk, region)) claims.add(name);
  return [...claims];
}
