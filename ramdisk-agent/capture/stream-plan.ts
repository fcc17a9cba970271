import type { DiskPart } from '../../protocol/capture.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { mapDisk, type DiskMap } from '../extent-map/disk-map.ts';
import type { FileSystemMark } from '../extent-map/file-system-marks.ts';
import { describePart } from '../extent-map/part-decision.ts';
import { intersect } from '../extent-map/range-list.ts';
import { findData } from '../qcow2/data-scan.ts';
import type { DiskSource } from '../qcow2/disk-source.ts';
import { clusterRunsOf, clustersIn, type ClusterRun, type Extent } from '../qcow2/extents.ts';
import { CLUSTER_BYTES, Qcow2Layout } from '../qcow2/layout.ts';

/** What will be read and sent, down to the byte. */
export interface StreamPlan {
  layout: Qcow2Layout;
  parts: DiskPart[];
  /** Shows whether the disk is still the one that was looked at. */
  marks: FileSystemMark[];
  /** Of the layout: what is in it on a map's word, and nobody has looked at. */
  unseen: ClusterRun[];
  /** Of the layout: what was read, and is not zeros. */
  seen: ClusterRun[];
}

export interface PlanOptions {
  /** What file systems call free is taken too. */
  full: boolean;
  signal: AbortSignal;
  onMapping(): void;
  onScanned(bytesDone: number, bytesTotal: number): void;
}

/**
 * Which clusters are in the image: those that a proven map calls used, and of everything that no map is proven of those that
 * are not zeros, which only reading them can tell.
 */
export async function planStream(device: BlockDevice, disk: DiskSource, { full, signal, onMapping, onScanned }: PlanOptions): Promise<StreamPlan> {
  onMapping();
  const map = await mapDisk(device, { full, signal });
  const { mapped, unknown } = divide(map);
  const mappedRuns = clusterRunsOf(mapped, device.sizeBytes, CLUSTER_BYTES);
  const unknownRuns = clusterRunsOf(unknown, device.sizeBytes, CLUSTER_BYTES);
  const seen = await scan(unknownRuns, disk, device.sizeBytes, { signal, onScanned });
  return { layout: layoutOf([...mappedRuns, ...seen], device.sizeBytes), parts: map.parts.map(reportPart), marks: map.marks, unseen: mappedRuns, seen };
}

/** The same without the zeros in used blocks (a journal, files full of them), which only reading all of these tells. */
export async function leaveOutZeros({ layout: { diskBytes }, unseen, seen, ...plan }: StreamPlan, disk: DiskSource, options: Pick<PlanOptions, 'signal' | 'onScanned'>): Promise<StreamPlan> {
  const allSeen = [...seen, ...(await scan(unseen, disk, diskBytes, options))];
  return { ...plan, layout: layoutOf(allSeen, diskBytes), unseen: [], seen: allSeen };
}

function scan(runs: readonly ClusterRun[], disk: DiskSource, diskBytes: number, { signal, onScanned }: Pick<PlanOptions, 'signal' | 'onScanned'>): Promise<ClusterRun[]> {
  const totalBytes = clustersIn(runs) * CLUSTER_BYTES;
  return findData(runs, disk, diskBytes, signal, (bytesDone) => onScanned(bytesDone, totalBytes));
}

const layoutOf = (runs: readonly ClusterRun[], diskBytes: number): Qcow2Layout => new Qcow2Layout(diskBytes, clusterRunsOf(extentsOf(runs, diskBytes), diskBytes, CLUSTER_BYTES));

/** The map's ranges, by whether a proven map says that they are used. */
function divide({ extents, parts }: DiskMap): { mapped: Extent[]; unknown: Extent[] } {
  const proven = parts.filter(({ treatment }) => treatment !== 'read in full');
  const inFull = parts.filter(({ treatment }) => treatment === 'read in full');
  const mapped: Extent[] = [];
  const unknown: Extent[] = [];
  for (const extent of extents) {
    for (const [ranges, list] of [[proven, mapped], [inFull, unknown]] as const) {
      for (const range of ranges) {
        const common = intersect(extent, range);
        if (common.sizeBytes > 0) list.push(common);
      }
    }
  }
  return { mapped, unknown };
}

const reportPart = (part: DiskMap['parts'][number]): DiskPart => ({
  what: part.what,
  offset_bytes: part.offsetBytes,
  size_bytes: part.sizeBytes,
  content: part.content,
  treatment: part.treatment,
  used_bytes: part.treatment === 'read in full' ? null : part.usedBytes,
  summary: describePart(part),
});

const extentsOf = (runs: readonly ClusterRun[], diskBytes: number): Extent[] =>
  runs.map(({ first, count }) => ({ offsetBytes: first * CLUSTER_BYTES, sizeBytes: Math.min((first + count) * CLUSTER_BYTES, diskBytes) - first * CLUSTER_BYTES }));
