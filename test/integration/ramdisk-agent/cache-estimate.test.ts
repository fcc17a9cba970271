import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';
import { ensureImageFitsCache, OVERHEAD_BYTES } from '../../../ramdisk-agent/capture/cache-estimate.ts';
import { CLUSTER_BYTES } from '../../../ramdisk-agent/qcow2/layout.ts';

const DATA_CLUSTERS = 10;
const DISK_CLUSTERS = 1_000;

let directory: string;
let disk: string;
/** Of the image of a full disk of this size: what any image of it has at most. */
let metadataBytes: number;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-estimate-'));
  disk = join(directory, 'disk.img');
  const content = Buffer.alloc(DISK_CLUSTERS * CLUSTER_BYTES);
  for (let index = 0; index < DATA_CLUSTERS; index += 1) randomBytes(CLUSTER_BYTES).copy(content, index * 97 * CLUSTER_BYTES);
  await writeFile(disk, content);
  const { stdout } = await runProgram('qemu-img', ['measure', '--output', 'json', '-O', 'qcow2', '--size', String(content.length)], { timeoutMs: 30_000 });
  metadataBytes = (JSON.parse(stdout) as { 'fully-allocated': number })['fully-allocated'] - content.length;
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const estimate = (cacheSizeBytes: number): Promise<void> => ensureImageFitsCache({ device: disk, sizeBytes: DISK_CLUSTERS * CLUSTER_BYTES, cacheSizeBytes, signal: AbortSignal.timeout(30_000), onProgress: () => undefined });

test('a cache that holds just the data and the metadata is enough, and one that is a byte smaller is not', async () => {
  const justEnough = OVERHEAD_BYTES + metadataBytes + DATA_CLUSTERS * CLUSTER_BYTES;
  await expect(estimate(justEnough)).resolves.toBeUndefined();
  await expect(estimate(justEnough - 1)).rejects.toThrow(/does not fit the cache of davfs2/);
});
