import type { DiskReader, Region } from './disk-reader.ts';
import type { Member } from './members.ts';

const MAGIC = 0xa92b4efc;
const SUPERBLOCK_BYTES = 4096;
const KIB = 1024;

/**
 * The member of a Linux md array in a region, or null. Formats: include/uapi/linux/raid/md_p.h of the kernel; places:
 * md(4): 0.90 in the last 64 KiB aligned block, 1.0 near the end, 1.1 at the start, 1.2 at 4 KiB.
 */
export async function readMdMember(disk: DiskReader, region: Region): Promise<Member | null> {
  const end = region.startBytes + region.sizeBytes;
  const version1Offsets = [region.startBytes, region.startBytes + 4 * KIB, region.startBytes + Math.floor((region.sizeBytes - 8 * KIB) / (4 * KIB)) * 4 * KIB];
  for (const offset of version1Offsets) {
    if (offset < region.startBytes || offset >= end) continue;
    const block = await disk.read(offset, SUPERBLOCK_BYTES);
    if (block.readUInt32LE(0) === MAGIC && block.readUInt32LE(4) === 1) return parseVersion1(block);
  }
  const offset = region.startBytes + (Math.floor(region.sizeBytes / (64 * KIB)) - 1) * 64 * KIB;
  if (offset < region.startBytes) return null;
  const block = await disk.read(offset, SUPERBLOCK_BYTES);
  // 0.90 is written in the byte order of the machine that made the array
  for (const read of [(at: number) => block.readUInt32LE(at), (at: number) => block.readUInt32BE(at)]) {
    if (read(0) === MAGIC && read(4) === 0) return parseVersion0(block, read);
  }
  return null;
}

function parseVersion1(block: Buffer): Member {
  const wholeId = block.toString('hex', 16, 32);
  const name = block.toString('utf8', 32, 64).replace(/\0.*$/s, '');
  return { kind: 'md array', wholeId, wholeName: name || wholeId, partId: block.toString('hex', 168, 184), parts: block.readUInt32LE(92) };
}

function parseVersion0(block: Buffer, read: (at: number) => number): Member {
  const words = [block.subarray(20, 24), block.subarray(52, 64)];
  const wholeId = Buffer.concat(words).toString('hex');
  // words 992…: this disk's own descriptor, the first of which is its number
  return { kind: 'md array', wholeId, wholeName: wholeId, partId: String(read(992 * 4)), parts: read(40) };
}
