import type { Region } from '../disk-layout/disk-reader.ts';
import type { Extent } from '../qcow2/extents.ts';
import { endOf, intersect } from './range-list.ts';

/** A partition, or space that belongs to none: together they are the whole disk. */
export interface DiskPart extends Extent {
  /** For people: "partition 2". */
  what: string;
  /** Why its content must not even be looked at; null: it may. */
  obstacle: string | null;
}

/**
 * Divides a disk into its partitions (as far as they are on the disk) and the gaps around them, in the order of the disk.
 * Every byte of the disk is in at least one part; in several only where partitions overlap, which each of them says.
 */
export function divideDisk(diskBytes: number, partitions: readonly Region[]): DiskPart[] {
  const disk = { offsetBytes: 0, sizeBytes: diskBytes };
  const claims = partitions.map(({ name, startBytes, sizeBytes }) => ({ name, offsetBytes: startBytes, sizeBytes }));
  const parts = claims.map((claim): DiskPart => {
    const rivals = claims.filter((other) => other !== claim && intersect(claim, other).sizeBytes > 0).map(({ name }) => name);
    const obstacles = [
      ...(endOf(claim) > diskBytes ? ['it reaches beyond the end of the disk'] : []),
      ...(rivals.length > 0 ? [`it overlaps with ${rivals.join(' and ')}`] : []),
    ];
    const { offsetBytes, sizeBytes } = intersect(claim, disk);
    if (sizeBytes === 0) obstacles.push('nothing of it is on the disk');
    return { what: claim.name, offsetBytes: Math.min(offsetBytes, diskBytes), sizeBytes, obstacle: obstacles.join(' and ') || null };
  });
  return [...parts, ...findGaps(diskBytes, parts)].sort((one, other) => one.offsetBytes - other.offsetBytes);
}

function findGaps(diskBytes: number, partitions: readonly DiskPart[]): DiskPart[] {
  const gaps: DiskPart[] = [];
  let reached = 0;
  let before: string | null = null;
  const addGap = (end: number, after: string | null): void => {
    const where = before === null ? `before ${after}` : after === null ? `behind ${before}` : `between ${before} and ${after}`;
    gaps.push({ what: `space ${where}`, offsetBytes: reached, sizeBytes: end - reached, obstacle: 'it is in no partition' });
  };
  const inOrder = partitions.filter(({ sizeBytes }) => sizeBytes > 0).sort((one, other) => one.offsetBytes - other.offsetBytes);
  for (const partition of inOrder) {
    if (partition.offsetBytes > reached) addGap(partition.offsetBytes, partition.what);
    if (endOf(partition) > reached) before = partition.what;
    reached = Math.max(reached, endOf(partition));
  }
  if (reached < diskBytes && before !== null) addGap(diskBytes, null);
  if (inOrder.length === 0) gaps.push({ what: 'the whole disk', offsetBytes: 0, sizeBytes: diskBytes, obstacle: 'it has no partitions' });
  return gaps;
}
