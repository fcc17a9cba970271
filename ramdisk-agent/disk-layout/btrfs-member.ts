import type { DiskReader, Region } from './disk-reader.ts';
import type { Member } from './members.ts';

/** The first superblock and its fields (btrfs_super_block in include/uapi/linux/btrfs_tree.h of the kernel). */
const SUPERBLOCK_OFFSET = 64 * 1024;
const MAGIC = '_BHRfS_M';

/** The device of a btrfs file system in a region, or null. */
export async function readBtrfsMember(disk: DiskReader, region: Region): Promise<Member | null> {
  if (region.sizeBytes < SUPERBLOCK_OFFSET + 4096) return null;
  const block = await disk.read(region.startBytes + SUPERBLOCK_OFFSET, 4096);
  if (block.toString('latin1', 0x40, 0x48) !== MAGIC) return null;
  const wholeId = block.toString('hex', 0x20, 0x30);
  // dev_item at 0xc9 begins with this device's number in the file system
  return { kind: 'btrfs file system', wholeId, wholeName: wholeId, partId: String(block.readBigUInt64LE(0xc9)), parts: Number(block.readBigUInt64LE(0x88)) };
}
