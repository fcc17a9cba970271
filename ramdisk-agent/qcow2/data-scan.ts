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
  const found: ClusterRun[] = [];
  let bytesDone = 0;
  for (const { first, count } of runs) {
    const endBytes = Math.min((first + count) * CLUSTER_BYTES, diskBytes);
    for (let offsetBytes = first * CLUSTER_BYTES; offsetBytes < endBytes; offsetBytes += READ_BYTES) {
      signal.throwIfAborted();
      const buffer = await disk.read(offsetBytes, Math.min(READ_BYTES, endBytes - offsetBytes));
      for (let at = 0; at < buffer.length; at += CLUSTER_BYTES) {
        const end = Math.min(at + CLUSTER_BYTES, buffer.length);
        if (buffer.compare(ZEROS, 0, end - at, at, end) !== 0) append(found, (offsetBytes + at) / CLUSTER_BYTES);
      }
      bytesDone += buffer.length;
      onProgress(bytesDone);
    }
  }
  return found;
}

function append(runs: ClusterRun[], cluster: number): void {
  const last = runs.at(-1);
  if (last && last.first + last.count === cluster) last.count += 1;
  else runs.push({ first: cluster, count: 1 });
}
