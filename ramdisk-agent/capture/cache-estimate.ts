import { z } from 'zod';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';
import { readDisk } from './disk-scan.ts';

const MIB = 1024 ** 2;
/** What davfs2 and our private files need beside the image. */
const OVERHEAD_BYTES = MIB;
const CLUSTER_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(CLUSTER_BYTES);
const MEASURE_TIMEOUT_MS = 30_000;
const measureSchema = z.object({ 'fully-allocated': z.number() });

export interface EstimateOptions {
  device: string;
  sizeBytes: number;
  cacheSizeBytes: number;
  signal: AbortSignal;
  /** Bytes of the disk that the scan has read. */
  onProgress(bytesDone: number): void;
}

/**
 * Resolves when the image of this disk is sure to fit the cache. Nothing is read when even a full disk would fit; otherwise
 * the clusters that are not all zero are counted, until the end of the disk or the first one that does not fit
 * (docs/decisions/0010-cache-estimate.md).
 * @throws OperationFailedError with both sizes when it does not fit.
 */
export async function ensureImageFitsCache(options: EstimateOptions): Promise<void> {
  const { device, sizeBytes, cacheSizeBytes, signal } = options;
  const measured = await runProgram('qemu-img', ['measure', '--output', 'json', '-O', 'qcow2', '--size', String(sizeBytes)], { timeoutMs: MEASURE_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
  const fullBytes = measureSchema.parse(JSON.parse(measured.stdout))['fully-allocated'];
  const fitsBytes = cacheSizeBytes - OVERHEAD_BYTES;
  if (fullBytes <= fitsBytes) return;
  // the metadata of a full image is an upper bound for that of any image of this disk
  const clustersThatFit = Math.floor((fitsBytes - (fullBytes - sizeBytes)) / CLUSTER_BYTES);
  const scannedBytes = await scanUntilTooFull(options, clustersThatFit);
  if (scannedBytes === null) return;
  throw new OperationFailedError(
    `the image of ${device} does not fit the cache of davfs2: the cache has ${megabytes(cacheSizeBytes)} MiB, and the data in the first ${megabytes(scannedBytes)} of the disk's ${megabytes(sizeBytes)} MiB alone needs more. Give the ramdisk more memory or set cache_size_bytes.`,
    { device, cache_size_bytes: cacheSizeBytes, size_bytes: sizeBytes },
  );
}

/** Returns how far it came before there was too much data; null when all of it fits. */
async function scanUntilTooFull({ device, sizeBytes, signal, onProgress }: EstimateOptions, clustersThatFit: number): Promise<number | null> {
  const counter = new DataClusterCounter();
  for await (const chunk of readDisk(device, sizeBytes, signal)) {
    counter.add(chunk);
    if (counter.dataClusters > clustersThatFit) return counter.position;
    onProgress(counter.position);
  }
  return null;
}

/** Counts the clusters of a stream that are not all zero, wherever its pieces begin and end. */
export class DataClusterCounter {
  dataClusters = 0;
  position = 0;
  #counted = false;

  add(chunk: Buffer): void {
    for (let start = 0; start < chunk.length; ) {
      const inCluster = this.position % CLUSTER_BYTES;
      if (inCluster === 0) this.#counted = false;
      const end = Math.min(chunk.length, start + CLUSTER_BYTES - inCluster);
      if (!this.#counted && chunk.compare(ZEROS, 0, end - start, start, end) !== 0) {
        this.#counted = true;
        this.dataClusters += 1;
      }
      this.position += end - start;
      start = end;
    }
  }
}

const megabytes = (bytes: number): number => Math.floor(bytes / MIB);
