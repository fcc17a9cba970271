import { InvalidParameterError } from '../../protocol/errors.ts';
import { clustersIn, type ClusterRun } from './extents.ts';

const CLUSTER_BITS = 16;
export const CLUSTER_BYTES = 2 ** CLUSTER_BITS;
const ENTRY_BYTES = 8;
/** Entries of an L1 or L2 table, or of the refcount table, in a cluster. */
const ENTRIES = CLUSTER_BYTES / ENTRY_BYTES;
const REFCOUNT_ORDER = 4;
const REFCOUNT_BYTES = 2;
/** Refcounts in a refcount block, which is a cluster. */
const REFCOUNTS = CLUSTER_BYTES / REFCOUNT_BYTES;
const HEADER_BYTES = 104;
/** "QFI" and 0xfb. */
const MAGIC = 0x514649fb;
/** Bit 63 of an L1 or L2 entry: what it points to has refcount 1. As the upper of two 32-bit words. */
const COPIED_HIGH = 0x80000000;
const WORD = 2 ** 32;
/** QEMU opens no L1 table beyond 32 MiB: 2 PiB of disk. */
const LARGEST_DISK_BYTES = 2 ** 51;

/**
 * Where everything of a qcow2 image lies that is written in one pass, front to back: header, refcount table and blocks, L1
 * table, L2 tables, and then the disk's clusters in their own order. All of it follows from the disk's size and from which
 * clusters there are, so the image's length is known before its first byte. Version 3, clusters of 64 KiB, refcounts of 16
 * bits, no features (the format: docs/interop/qcow2.txt of QEMU).
 */
export class Qcow2Layout {
  readonly diskBytes: number;
  readonly runs: readonly ClusterRun[];
  /** Clusters of the disk that are in the image. */
  readonly dataClusters: number;
  /** What comes before the first of them. */
  readonly metadataBytes: number;
  /** Of the whole image. */
  readonly imageBytes: number;
  readonly #refcountTable: Span;
  readonly #refcountBlocks: Span;
  readonly #l1Table: Span;
  readonly #l2Tables: Span;
  readonly #l1Entries: number;

  /**
   * @param runs clusters that are in the image, as clusterRunsOf makes them; all others read as zeros.
   * @throws InvalidParameterError when the disk is no multiple of 512 bytes or larger than 2 PiB, or when the runs are not in order within it.
   */
  constructor(diskBytes: number, runs: readonly ClusterRun[]) {
    if (!Number.isSafeInteger(diskBytes) || diskBytes <= 0 || diskBytes % 512 !== 0 || diskBytes > LARGEST_DISK_BYTES) throw new InvalidParameterError(`expected the size of a disk in bytes, a multiple of 512 up to ${LARGEST_DISK_BYTES}, found ${diskBytes}`);
    checkRuns(runs, Math.ceil(diskBytes / CLUSTER_BYTES));
    this.diskBytes = diskBytes;
    this.runs = runs;
    this.dataClusters = clustersIn(runs);
    this.#l1Entries = Math.ceil(diskBytes / (CLUSTER_BYTES * ENTRIES));
    const l1Clusters = clustersFor(this.#l1Entries * ENTRY_BYTES);
    const l2Clusters = countTables(runs);
    const { tableClusters, blockClusters } = refcountsFor(1 + l1Clusters + l2Clusters + this.dataClusters);
    this.#refcountTable = { first: 1, count: tableClusters };
    this.#refcountBlocks = after(this.#refcountTable, blockClusters);
    this.#l1Table = after(this.#refcountBlocks, l1Clusters);
    this.#l2Tables = after(this.#l1Table, l2Clusters);
    this.metadataBytes = (this.#l2Tables.first + l2Clusters) * CLUSTER_BYTES;
    this.imageBytes = this.metadataBytes + this.dataClusters * CLUSTER_BYTES;
  }

  /** Everything before the disk's clusters, a cluster at a time: also for 64 TiB no more than one is in memory. */
  *metadata(): Generator<Buffer, void, undefined> {
    yield this.#header();
    yield* pointers(this.#refcountBlocks.count, (index) => (this.#refcountBlocks.first + index) * CLUSTER_BYTES, 0);
    yield* this.#refcounts();
    yield* this.#l1();
    yield* this.#l2();
  }

  #header(): Buffer {
    const header = Buffer.alloc(CLUSTER_BYTES);
    header.writeUInt32BE(MAGIC, 0);
    header.writeUInt32BE(3, 4);
    header.writeUInt32BE(CLUSTER_BITS, 20);
    writeEntry(header, 24, this.diskBytes, 0);
    header.writeUInt32BE(this.#l1Entries, 36);
    writeEntry(header, 40, this.#l1Table.first * CLUSTER_BYTES, 0);
    writeEntry(header, 48, this.#refcountTable.first * CLUSTER_BYTES, 0);
    header.writeUInt32BE(this.#refcountTable.count, 56);
    header.writeUInt32BE(REFCOUNT_ORDER, 96);
    header.writeUInt32BE(HEADER_BYTES, 100);
    return header;
  }

  /** Every cluster of the image is used once. */
  *#refcounts(): Generator<Buffer, void, undefined> {
    const full = Buffer.alloc(CLUSTER_BYTES);
    for (let at = 1; at < CLUSTER_BYTES; at += REFCOUNT_BYTES) full[at] = 1;
    const clusters = this.imageBytes / CLUSTER_BYTES;
    for (let done = 0; done < this.#refcountBlocks.count * REFCOUNTS; done += REFCOUNTS) {
      const left = clusters - done;
      yield left >= REFCOUNTS ? full : Buffer.concat([full.subarray(0, Math.max(left, 0) * REFCOUNT_BYTES)], CLUSTER_BYTES);
    }
  }

  *#l1(): Generator<Buffer, void, undefined> {
    const tables = tableNumbers(this.runs);
    let next = tables.next();
    let position = this.#l2Tables.first;
    for (let cluster = 0; cluster < this.#l1Table.count; cluster += 1) {
      const table = Buffer.alloc(CLUSTER_BYTES);
      for (; !next.done && next.value < (cluster + 1) * ENTRIES; next = tables.next(), position += 1) writeEntry(table, (next.value % ENTRIES) * ENTRY_BYTES, position * CLUSTER_BYTES, COPIED_HIGH);
      yield table;
    }
  }

  *#l2(): Generator<Buffer, void, undefined> {
    let table = Buffer.alloc(0);
    let number = -1;
    let offsetBytes = this.metadataBytes;
    for (const { first, count } of this.runs) {
      for (let cluster = first; cluster < first + count; cluster += 1, offsetBytes += CLUSTER_BYTES) {
        if (Math.floor(cluster / ENTRIES) !== number) {
          if (number >= 0) yield table;
          number = Math.floor(cluster / ENTRIES);
          table = Buffer.alloc(CLUSTER_BYTES);
        }
        writeEntry(table, (cluster % ENTRIES) * ENTRY_BYTES, offsetBytes, COPIED_HIGH);
      }
    }
    if (number >= 0) yield table;
  }
}

/** Consecutive clusters of the image. */
interface Span {
  first: number;
  count: number;
}
const after = ({ first, count }: Span, clusters: number): Span => ({ first: first + count, count: clusters });
const clustersFor = (bytes: number): number => Math.ceil(bytes / CLUSTER_BYTES);

/** Refcounts count themselves: repeated until there is room for all. */
function refcountsFor(otherClusters: number): { tableClusters: number; blockClusters: number } {
  let [tableClusters, blockClusters] = [0, 0];
  for (;;) {
    const blocks = Math.ceil((otherClusters + tableClusters + blockClusters) / REFCOUNTS);
    const tables = clustersFor(blocks * ENTRY_BYTES);
    if (blocks === blockClusters && tables === tableClusters) return { tableClusters, blockClusters };
    [tableClusters, blockClusters] = [tables, blocks];
  }
}

/** Numbers of the L2 tables that hold something, ascending. */
function* tableNumbers(runs: readonly ClusterRun[]): Generator<number, void, undefined> {
  let last = -1;
  for (const { first, count } of runs) {
    const lastOfRun = Math.floor((first + count - 1) / ENTRIES);
    for (let number = Math.max(Math.floor(first / ENTRIES), last + 1); number <= lastOfRun; number += 1) yield number;
    last = lastOfRun;
  }
}

function countTables(runs: readonly ClusterRun[]): number {
  let tables = 0;
  let last = -1;
  for (const { first, count } of runs) {
    const lastOfRun = Math.floor((first + count - 1) / ENTRIES);
    tables += lastOfRun - Math.max(Math.floor(first / ENTRIES), last + 1) + 1;
    last = lastOfRun;
  }
  return tables;
}

/** A table of `count` entries, whole clusters of it. */
function* pointers(count: number, pointerOf: (index: number) => number, high: number): Generator<Buffer, void, undefined> {
  for (let done = 0; done < count; done += ENTRIES) {
    const table = Buffer.alloc(CLUSTER_BYTES);
    for (let index = done; index < Math.min(done + ENTRIES, count); index += 1) writeEntry(table, (index - done) * ENTRY_BYTES, pointerOf(index), high);
    yield table;
  }
}

/** 64 bits, big endian, without the cost of a BigInt. */
function writeEntry(table: Buffer, at: number, value: number, flagsHigh: number): void {
  table.writeUInt32BE(Math.floor(value / WORD) + flagsHigh, at);
  table.writeUInt32BE(value % WORD, at + 4);
}

function checkRuns(runs: readonly ClusterRun[], diskClusters: number): void {
  let end = 0;
  for (const { first, count } of runs) {
    if (!(Number.isSafeInteger(first) && Number.isSafeInteger(count)) || first < end || count < 1 || first + count > diskClusters) throw new InvalidParameterError(`expected runs of clusters in order within ${diskClusters}, found ${count} at ${first} after ${end}`);
    end = first + count;
  }
}
