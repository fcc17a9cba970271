import type { Extent } from '../qcow2/extents.ts';

/** Free space below this between used ranges is not worth a range of its own: a cluster of the image is as large. */
const SMALLEST_GAP_BYTES = 64 * 1024;
/** A list of this length takes some MB of memory; a map that is more fragmented gets coarser instead of longer. */
const LONGEST_LIST = 100_000;

/**
 * Ranges in ascending order that neither overlap nor lie close together, in bounded memory: small gaps count as used, and
 * when there are too many ranges, larger ones do too. It always covers at least what was added.
 */
export class RangeList {
  readonly #longest: number;
  #gapBytes: number;
  #ranges: Extent[] = [];

  constructor({ smallestGapBytes = SMALLEST_GAP_BYTES, longest = LONGEST_LIST } = {}) {
    this.#gapBytes = smallestGapBytes;
    this.#longest = longest;
  }

  get ranges(): readonly Extent[] {
    return this.#ranges;
  }

  /** Adds a range that begins no earlier than the one before. */
  add({ offsetBytes, sizeBytes }: Extent): void {
    if (sizeBytes === 0) return;
    const last = this.#ranges.at(-1);
    if (last !== undefined && offsetBytes < last.offsetBytes) throw new RangeError(`expected ranges in ascending order, found ${offsetBytes} after ${last.offsetBytes}`);
    if (last !== undefined && offsetBytes - (last.offsetBytes + last.sizeBytes) < this.#gapBytes) last.sizeBytes = Math.max(last.sizeBytes, offsetBytes + sizeBytes - last.offsetBytes);
    else this.#ranges.push({ offsetBytes, sizeBytes });
    while (this.#ranges.length > this.#longest) this.#coarsen();
  }

  #coarsen(): void {
    const coarser = new RangeList({ smallestGapBytes: Math.max(1, this.#gapBytes) * 2, longest: Infinity });
    for (const range of this.#ranges) coarser.add(range);
    this.#ranges = coarser.#ranges;
    this.#gapBytes = coarser.#gapBytes;
  }
}

/** The same bytes (and small gaps between them) as a list in ascending order without overlaps. */
export function mergeRanges(ranges: Iterable<Extent>, options: { smallestGapBytes?: number } = {}): Extent[] {
  const list = new RangeList(options);
  for (const range of [...ranges].sort((one, other) => one.offsetBytes - other.offsetBytes)) list.add(range);
  return [...list.ranges];
}

export const sumOf = (ranges: Iterable<Extent>): number => [...ranges].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/** What two ranges have in common; of no bytes when they have nothing. */
export function intersect(one: Extent, other: Extent): Extent {
  const offsetBytes = Math.max(one.offsetBytes, other.offsetBytes);
  const endBytes = Math.min(endOf(one), endOf(other));
  return { offsetBytes, sizeBytes: Math.max(0, endBytes - offsetBytes) };
}

export const endOf = ({ offsetBytes, sizeBytes }: Extent): number => offsetBytes + sizeBytes;
