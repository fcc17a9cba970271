import type { Extent } from '../qcow2/extents.ts';
import { DdrescueMapReader } from './ddrescue-map.ts';
import { runTool, type MapTools } from './map-tools.ts';
import { MapDoubt } from './part-decision.ts';

/** partclone and libext2fs hold one each, of a bit per block: 68 MiB were measured for 1 TiB. */
const BITMAPS = 2;

/** Otherwise it sleeps for two seconds before it looks whether it has finished. */
const NO_PROGRESS = ['-f', '0'];

/** What a file system's superblock says of its size, for comparison with its map. */
export interface BlockCounts {
  blockBytes: number;
  blocks: number;
  freeBlocks: number;
  /** The superblock counts exactly; otherwise a map may have more used blocks than it says, never fewer. */
  exact: boolean;
}

/**
 * The used ranges of a file system that is known to be clean, by `partclone.* -D` (never -F: that believes a dirty one).
 * @param device where the program finds it. @param startBytes where it begins on the disk.
 * @throws MapDoubt when the map cannot be understood, or contradicts the superblock; OperationFailedError when there is none.
 */
export async function readUsedRanges(program: string, device: string, startBytes: number, counts: BlockCounts, tools: MapTools): Promise<Extent[]> {
  const neededBytes = (BITMAPS * counts.blocks) / 8;
  if (neededBytes > tools.memoryBytes) throw new MapDoubt('clean', `its map needs ${inMib(neededBytes)} of memory, ${inMib(tools.memoryBytes)} may be used`);
  const reader = new DdrescueMapReader(startBytes);
  await runTool(tools, program, ['-D', '-q', ...NO_PROGRESS, '-L', '/dev/null', '-s', device, '-o', '-'], (text) => reader.add(text));
  const map = reader.finish(counts.blocks * counts.blockBytes);
  if ('problem' in map) throw new MapDoubt('unknown', `the map of ${program} is not understood: ${map.problem}`);
  const usedBlocks = map.usedBytes / counts.blockBytes;
  const expected = counts.blocks - counts.freeBlocks;
  if (usedBlocks < expected || (counts.exact && usedBlocks !== expected)) {
    throw new MapDoubt('damaged', `${program} finds ${usedBlocks} used blocks where its superblock says ${expected}`);
  }
  return [...map.extents];
}

const inMib = (bytes: number): string => `${Number((bytes / 1024 ** 2).toPrecision(2))} MiB`;
