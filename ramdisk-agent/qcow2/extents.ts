import { InvalidParameterError } from '../../protocol/errors.ts';

/** A range of bytes of a disk that has to be in its image. */
export interface Extent {
  offsetBytes: number;
  sizeBytes: number;
}

/** A run of whole clusters, counted from the disk's begin. */
export interface ClusterRun {
  first: number;
  count: number;
}

/** Of runs that do not overlap. */
export const clustersIn = (runs: readonly ClusterRun[]): number => runs.reduce((sum, { count }) => sum + count, 0);

/**
 * The clusters that these extents touch, as runs in ascending order that neither overlap nor adjoin. Extents may come in
 * any order and overlap; what is empty is left out.
 * @throws InvalidParameterError for one that is negative, fractional, or reaches beyond the disk: its map is not of this disk.
 */
export function clusterRunsOf(extents: Iterable<Extent>, diskBytes: number, clusterBytes: number): ClusterRun[] {
  const touched = [...extents].filter(({ sizeBytes }) => sizeBytes !== 0).map((extent) => touchedBy(extent, diskBytes, clusterBytes));
  touched.sort((one, other) => one.first - other.first);
  const runs: ClusterRun[] = [];
  for (const run of touched) {
    const before = runs.at(-1);
    const overlap = before === undefined ? -1 : before.first + before.count - run.first;
    if (before === undefined || overlap < 0) runs.push(run);
    else before.count = Math.max(before.count, before.count - overlap + run.count);
  }
  return runs;
}

function touchedBy({ offsetBytes, sizeBytes }: Extent, diskBytes: number, clusterBytes: number): ClusterRun {
  const endBytes = offsetBytes + sizeBytes;
  if (![offsetBytes, sizeBytes, endBytes].every(Number.isSafeInteger) || offsetBytes < 0 || sizeBytes < 0 || endBytes > diskBytes) {
    throw new InvalidParameterError(`expected ranges within the disk's ${diskBytes} bytes, found ${sizeBytes} bytes at ${offsetBytes}`, { offsetBytes, sizeBytes, diskBytes });
  }
  const first = Math.floor(offsetBytes / clusterBytes);
  return { first, count: Math.ceil(endBytes / clusterBytes) - first };
}
