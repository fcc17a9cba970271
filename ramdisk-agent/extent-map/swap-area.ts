import type { DiskReader } from '../disk-layout/disk-reader.ts';
import type { Extent } from '../qcow2/extents.ts';
import { MapDoubt } from './part-decision.ts';

/** Page sizes of the machines that Linux runs on: the signature ends the first page (mkswap(8)). */
const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536] as const;
const SIGNATURE = 'SWAPSPACE2';
/** union swap_header in include/linux/swap.h of the kernel: behind 1024 bytes for boot code. */
const VERSION_OFFSET = 1024;
const LAST_PAGE_OFFSET = 1028;
const HEADER_BYTES = 65_536;

/**
 * The ranges of a part of a disk that a swap area in it needs after a power-off: its header, and what lies behind its end.
 * @throws MapDoubt when the header is not one of version 1; a hibernated system's image has another signature.
 */
export async function mapSwapArea(disk: DiskReader, { offsetBytes, sizeBytes }: Extent): Promise<Extent[]> {
  const header = await disk.read(offsetBytes, HEADER_BYTES);
  const pageSizes = PAGE_SIZES.filter((pageBytes) => pageBytes <= sizeBytes && header.toString('latin1', pageBytes - SIGNATURE.length, pageBytes) === SIGNATURE);
  const version = header.readUInt32LE(VERSION_OFFSET);
  if (pageSizes.length !== 1 || version !== 1) throw new MapDoubt('unknown', 'its header is of a kind that is not known here');
  const swapBytes = (header.readUInt32LE(LAST_PAGE_OFFSET) + 1) * pageSizes[0]!;
  if (swapBytes > sizeBytes) throw new MapDoubt('damaged', `its header says ${swapBytes} bytes, there are ${sizeBytes}`);
  return [
    { offsetBytes, sizeBytes: Math.min(HEADER_BYTES, sizeBytes) },
    { offsetBytes: offsetBytes + swapBytes, sizeBytes: sizeBytes - swapBytes },
  ];
}
