import type { DiskReader, Region } from './disk-reader.ts';
import type { Member } from './members.ts';

/**
 * LVM2's on-disk format (lib/format_text/layout.h and the label of lib/label/label.h in its source): a label in one of the
 * first four sectors, behind it the physical volume's header with its metadata areas; the current metadata in such an area
 * is plain text.
 */
const SECTOR_BYTES = 512;
const LABEL_SECTORS = 4;
const METADATA_HEADER_BYTES = 512;
const METADATA_MAGIC = ' LVM2 x[5A%r0N*>';
/** Metadata of a volume group is some KiB; a larger figure comes from damage. */
const METADATA_LIMIT_BYTES = 16 * 1024 ** 2;

/** The LVM physical volume in a region, or null when there is none or it belongs to no volume group. */
export async function readLvmMember(disk: DiskReader, region: Region): Promise<Member | null> {
  const head = await disk.read(region.startBytes, LABEL_SECTORS * SECTOR_BYTES);
  const label = [...Array(LABEL_SECTORS).keys()].map((sector) => head.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)).find((sector) => sector.toString('latin1', 0, 8) === 'LABELONE' && sector.toString('latin1', 24, 32) === 'LVM2 001');
  if (!label) return null;
  const header = label.subarray(label.readUInt32LE(20));
  const partId = header.toString('latin1', 0, 32);
  const areas = readMetadataAreas(header);
  if (areas.length === 0) return { kind: 'LVM volume group', wholeId: partId, wholeName: 'unknown, its metadata is on other disks', partId, parts: null };
  for (const area of areas) {
    const text = await readMetadataText(disk, region.startBytes + area.offset, area.size);
    if (text !== null) return parseMetadata(text, partId);
  }
  return null;
}

/** Behind the identifier (32) and the size (8): data areas, a terminator, metadata areas, a terminator; 16 bytes each. */
function readMetadataAreas(header: Buffer): { offset: number; size: number }[] {
  const lists: { offset: number; size: number }[][] = [[], []];
  let position = 40;
  for (const list of lists) {
    while (position + 16 <= header.length) {
      const [offset, size] = [Number(header.readBigUInt64LE(position)), Number(header.readBigUInt64LE(position + 8))];
      position += 16;
      if (offset === 0) break;
      list.push({ offset, size });
    }
  }
  return lists[1]!;
}

/** The area is a ring behind its header: text that reaches its end goes on at its beginning. */
async function readMetadataText(disk: DiskReader, areaStart: number, areaSize: number): Promise<string | null> {
  const header = await disk.read(areaStart, METADATA_HEADER_BYTES);
  if (header.toString('latin1', 4, 20) !== METADATA_MAGIC) return null;
  const [offset, size] = [Number(header.readBigUInt64LE(40)), Number(header.readBigUInt64LE(48))];
  if (offset === 0 || offset >= areaSize || size === 0 || size > Math.min(areaSize, METADATA_LIMIT_BYTES)) return null; // damaged
  const first = Math.min(size, areaSize - offset);
  const pieces = [await disk.read(areaStart + offset, first), await disk.read(areaStart + METADATA_HEADER_BYTES, size - first)];
  return Buffer.concat(pieces).toString('utf8');
}

/** The text is `name { id = "…" … physical_volumes { pv0 { id = "…" … } … } … }`. */
function parseMetadata(text: string, partId: string): Member | null {
  const name = /^\s*([^\s{]+)\s*\{/.exec(text)?.[1];
  const wholeId = /\bid\s*=\s*"([^"]+)"/.exec(text)?.[1];
  const volumes = sectionOf(text, 'physical_volumes');
  if (name === undefined || wholeId === undefined || volumes === null) return null;
  return { kind: 'LVM volume group', wholeId, wholeName: name, partId, parts: [...volumes.matchAll(/\bid\s*=\s*"[^"]+"/g)].length };
}

function sectionOf(text: string, name: string): string | null {
  const start = new RegExp(`\\b${name}\\s*\\{`).exec(text);
  if (!start) return null;
  let depth = 0;
  const bodyStart = start.index + start[0].length;
  for (let position = bodyStart; position < text.length; position += 1) {
    if (text[position] === '{') depth += 1;
    if (text[position] === '}' && depth-- === 0) return text.slice(bodyStart, position);
  }
  return null;
}
