import { messageOf } from '../../protocol/errors.ts';
import type { DiskReader } from '../disk-layout/disk-reader.ts';
import type { Extent } from '../qcow2/extents.ts';
import { findClaims } from './claims.ts';
import type { DiskPart } from './disk-parts.ts';
import { mapExtFileSystem } from './ext-file-system.ts';
import { readMark } from './file-system-marks.ts';
import type { MapTools } from './map-tools.ts';
import { MapDoubt, readInFull, takeOnly, type DecidedPart } from './part-decision.ts';
import { intersect, mergeRanges } from './range-list.ts';
import { mapSwapArea } from './swap-area.ts';
import { mapXfs } from './xfs-file-system.ts';

type Mapper = (path: string, part: Extent, tools: MapTools) => Promise<Extent[]>;
/** Those for which a test that tells clean from dirty was shown on copies of crashed file systems. */
const FILE_SYSTEMS: Readonly<Record<string, Mapper>> = { ext2: mapExtFileSystem, ext3: mapExtFileSystem, ext4: mapExtFileSystem, xfs: mapXfs };
const REASONS: Readonly<Record<string, string>> = {
  LVM2_member: 'logical volumes are not looked into',
  linux_raid_member: 'members of arrays are not looked into',
  crypto_LUKS: 'it is encrypted',
  'several signatures at once': 'several things claim it',
  swsuspend: 'it holds the memory of a hibernated system',
};
/** Boot code, superblock: of a mapped part its beginning is always taken. */
const HEAD_BYTES = 64 * 1024;
const LONGEST_REASON = 300;

/**
 * Decides on one part of a disk. Whatever speaks against leaving anything out, and every failure, makes it read in full:
 * nothing but the signal ends this with an error.
 */
export async function decideOnPart(path: string, disk: DiskReader, part: DiskPart, tools: MapTools): Promise<DecidedPart> {
  if (part.obstacle !== null) return readInFull(part, null, 'unknown', part.obstacle);
  let content: string | null = null;
  try {
    const claims = await findClaims(path, disk, part, tools.signal);
    content = claims.join(' and ') || null;
    if (content === null) throw new MapDoubt('unknown', 'its content is not recognized');
    if (claims.length > 1) throw new MapDoubt('unknown', 'several things claim it');
    const mark = await readMark(path, part);
    if (content === 'swap') return takeOnly(part, content, 'left out', withinPart(part, await mapSwapArea(disk, part)), mark);
    const mapFileSystem = Object.hasOwn(FILE_SYSTEMS, content) ? FILE_SYSTEMS[content] : undefined;
    if (mapFileSystem === undefined) throw new MapDoubt('unknown', REASONS[content] ?? `no test is known here that tells a clean ${content} from a dirty one`);
    return takeOnly(part, content, 'mapped', withinPart(part, await mapFileSystem(path, part, tools)), mark);
  } catch (error) {
    tools.signal.throwIfAborted();
    return readInFull(part, content, error instanceof MapDoubt ? error.state : 'unknown', inOneLine(messageOf(error)));
  }
}

const inOneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, LONGEST_REASON);

const withinPart = (part: Extent, extents: readonly Extent[]): Extent[] => mergeRanges([...extents, { offsetBytes: part.offsetBytes, sizeBytes: HEAD_BYTES }].map((extent) => intersect(extent, part)));
