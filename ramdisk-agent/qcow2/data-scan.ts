import type { DiskSource } from './disk-source.ts';
import type { ClusterRun } from './extents.ts';
import { CLUSTER_BYTES } from './layout.ts';

const READ_BYTES = 64 * CLUSTER_BYTES;
const ZEROS = Buffer.alloc(CLUSTER_BYTES);

/**
 * Of these runs the clusters that are not all zeros: what lies in parts of a disk that nobody can tell the content of
 * without reading it.
 * @param onProgress called with the bytes that have been looked at.
 */
export async function findData(runs: readonly ClusterRun[], disk: DiskSource, diskBytes: number, signal: AbortSignal, onProgress: (bytesDone: number) => void): Promise<ClusterRun[]> {
  const data: ClusterRun[] = [];
  for await (const { bytesDone, found } of scanClusters(runs, disk, diskBytes, signal)) {
    for (const cluster of found) append(data, cluster);
    onProgress(bytesDone);
  }
  return data;
}

/** The same piece by piece, for whoever may have seen enough: the numbers of the clusters that are not all zeros. */
export async function* scanClusters(runs: readonly ClusterRun[], disk: DiskSource, diskBytes: number, signal: AbortSignal): AsyncGenerator<{ bytesDone: number; found: number[] }, void, undefined> {
  let bytesDone = 0;
  for (const { first, count } of runs) {
    const endBytes = Math.min((first + count) * CLUSTER_BYTES, diskBytes);
    for (let offsetBytes = first * CLUSTER_BYTES; offsetBytes < endBytes; offsetBytes += READ_BYTES) {
      signal.throwIfAborted();
      const buffer = disk.memory.subarray(0, Math.min(READ_BYTES, endBytes - offsetBytes));
      await disk.readInto(buffer, offsetBytes, signal);
      const found: number[] = [];
      for (let at = 0; at < buffer.length; at += CLUSTER_BYTES) if (!isZeros(buffer.subarray(at, at + CLUSTER_BYTES))) found.push((offsetBytes + at) / CLUSTER_BYTES);
      bytesDone += buffer.length;
      yield { bytesDone, found };
    }
  }
}

/** @param cluster or less of one. */
export const isZeros = (cluster: Buffer): boolean => cluster.compare(ZEROS, 0, cluster.length) === 0;

function append(runs: ClusterRun[], cluster: number): void {
  const last = runs.at(-1);
  if (last && last.first + last.count === cluster) last.count += 1;
  else runs.push({ first: cluster, count: 1 });
}
