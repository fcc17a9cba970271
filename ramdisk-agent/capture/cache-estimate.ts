import { z } from 'zod';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { scanClusters } from '../qcow2/data-scan.ts';
import { DiskSource } from '../qcow2/disk-source.ts';
import { CLUSTER_BYTES } from '../qcow2/layout.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';

const MIB = 1024 ** 2;
/** What davfs2 and our private files need beside the image. */
export const OVERHEAD_BYTES = MIB;
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
  const disk = await DiskSource.open(device, { onReadError: 'fail' });
  try {
    let dataClusters = 0;
    for await (const { bytesDone, found } of scanClusters([{ first: 0, count: Math.ceil(sizeBytes / CLUSTER_BYTES) }], disk, sizeBytes, signal)) {
      dataClusters += found.length;
      if (dataClusters > clustersThatFit) return bytesDone;
      onProgress(bytesDone);
    }
    return null;
  } finally {
    await disk.close();
  }
}

const megabytes = (bytes: number): number => Math.floor(bytes / MIB);
