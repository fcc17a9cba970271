import { freemem } from 'node:os';
import { messageOf } from '../../protocol/errors.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { BlockDevice } from '../devices/block-device.ts';
import { DiskReader } from '../disk-layout/disk-reader.ts';
import { readPartitionTable } from '../disk-layout/partition-table.ts';
import type { Extent } from '../qcow2/extents.ts';
import { findClaims } from './claims.ts';
import { divideDisk, type DiskPart } from './disk-parts.ts';
import type { FileSystemMark } from './file-system-marks.ts';
import type { MapTools } from './map-tools.ts';
import type { DecidedPart, PartDecision } from './part-decision.ts';
import { decideOnPart } from './part-examination.ts';
import { mergeRanges, sumOf } from './range-list.ts';

export interface MapOptions {
  /** Everything, deleted data too (forensics); nothing is looked at. */
  full?: boolean;
  /** Stops it at once. */
  signal: AbortSignal;
  /** Of each program that looks into a file system. */
  timeoutMs?: number;
  /** Environment of these programs. */
  env?: NodeJS.ProcessEnv;
  /** Memory that a map may take while it is made. Default: half of what is available. */
  memoryBytes?: number;
}

/** What of a disk has to be in its image, and why. */
export interface DiskMap {
  /** In ascending order, without overlaps. */
  extents: Extent[];
  /** Sum of the extents. */
  usedBytes: number;
  /** For the snapshot's report, in the order of the disk. */
  parts: PartDecision[];
  /** What `findChangedParts` compares. */
  marks: FileSystemMark[];
}

type MappedDevice = Pick<BlockDevice, 'name' | 'sizeBytes'>;

const TIMEOUT_MS = 10 * 60_000;
/** Boot records, partition tables and their copies, whatever a table says of the place. */
const EDGE_BYTES = 1024 ** 2;
/** Those whose partitions are where sfdisk says, each for itself. */
const PLAIN_TABLES: readonly string[] = ['gpt', 'dos'];

/**
 * Finds the ranges of a disk that must be in its image: everything but what is proven to be free space of a clean file
 * system, or the content of a swap area. Nothing is written; it may be called again. A doubt or a failing program never
 * fails it: that part of the disk is read in full, and its decision says why.
 * @throws when the signal aborts, or the disk cannot be opened.
 */
export async function mapDisk(device: MappedDevice, { full = false, signal, timeoutMs = TIMEOUT_MS, env = CHILD_ENVIRONMENT, memoryBytes = freemem() / 2 }: MapOptions): Promise<DiskMap> {
  signal.throwIfAborted();
  const tools: MapTools = { signal, timeoutMs, env, memoryBytes };
  return DiskReader.using(device.name, device.sizeBytes, async (disk) => {
    const decided: DecidedPart[] = [];
    const parts = full ? [wholeDisk(device, 'all of it was asked for')] : await listParts(device, disk, signal);
    for (const part of parts) decided.push(await decideOnPart(device.name, disk, part, tools));
    return composeMap(device.sizeBytes, decided);
  });
}

/** The map of these parts, which cover the disk, and of the disk's edges. */
export function composeMap(diskBytes: number, decided: readonly DecidedPart[]): DiskMap {
  const edgeBytes = Math.min(EDGE_BYTES, diskBytes);
  const edges = [{ offsetBytes: 0, sizeBytes: edgeBytes }, { offsetBytes: diskBytes - edgeBytes, sizeBytes: edgeBytes }];
  const extents = mergeRanges([...edges, ...decided.flatMap((part) => part.extents)]);
  return { extents, usedBytes: sumOf(extents), parts: decided.map(({ decision }) => decision), marks: decided.flatMap(({ mark }) => mark ?? []) };
}

/** Parts by the partition table; the whole disk where there is none, or where something else claims the disk as well. */
async function listParts(device: MappedDevice, disk: DiskReader, signal: AbortSignal): Promise<DiskPart[]> {
  try {
    const table = await readPartitionTable(device.name, signal);
    if (table === null) return [wholeDisk(device, null)];
    // a member of an array shows the array's partition table, and with it file systems that are spread over its disks
    const claims = await findClaims(device.name, disk, wholeDisk(device, null), signal);
    if (!PLAIN_TABLES.includes(table.label)) return [wholeDisk(device, `partition tables of the kind ${table.label} are not read here`)];
    if (claims.length !== 1 || claims[0] !== table.label) return [wholeDisk(device, `its partition table (${table.label}) is not all that claims it: ${claims.join(', ') || 'it is damaged'}`)];
    return divideDisk(device.sizeBytes, table.partitions);
  } catch (error) {
    signal.throwIfAborted();
    return [wholeDisk(device, `its partition table cannot be read: ${messageOf(error).replace(/\s+/g, ' ')}`)];
  }
}

const wholeDisk = ({ sizeBytes }: MappedDevice, obstacle: string | null): DiskPart => ({ what: 'the whole disk', offsetBytes: 0, sizeBytes, obstacle });
