import type { BlockCounts } from './used-blocks.ts';
import { MapDoubt } from './part-decision.ts';

const SMALLEST_BLOCK_BYTES = 512;
const LARGEST_BLOCK_BYTES = 64 * 1024;

/** @throws MapDoubt when these cannot be the figures of a file system that fits into its part of the disk. */
export function ensureSaneSize({ blockBytes, blocks, freeBlocks }: BlockCounts, partBytes: number): void {
  const wholeNumbers = [blockBytes, blocks, freeBlocks, blocks * blockBytes].every((figure) => Number.isSafeInteger(figure) && figure >= 0);
  const sane = wholeNumbers && blockBytes >= SMALLEST_BLOCK_BYTES && blockBytes <= LARGEST_BLOCK_BYTES && blocks > 0 && freeBlocks <= blocks;
  if (!sane) throw new MapDoubt('damaged', `its superblock says ${blocks} blocks of ${blockBytes} bytes, ${freeBlocks} of them free`);
  if (blocks * blockBytes > partBytes) throw new MapDoubt('damaged', `its superblock says ${blocks * blockBytes} bytes, there are ${partBytes}`);
}
