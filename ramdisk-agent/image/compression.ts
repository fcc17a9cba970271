import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cpioPieces } from '../../protocol/cpio-archive.ts';
import type { ImageTree } from './image-tree.ts';
import type { UnpackedRoot } from './unpacked-root.ts';

const COMPRESS_TIMEOUT_MS = 30 * 60_000;
const THREADS = 2;
/** A cpio archive after another one begins at a multiple of this: the kernel skips zero bytes between them. */
const ALIGNMENT_BYTES = 4;

/** Writes the tree as a compressed cpio archive. The same level gives the same bytes: zstd divides the work independently of how many threads there are. */
export async function writeInitramfs(tree: ImageTree, tools: UnpackedRoot, level: number, path: string, signal: AbortSignal): Promise<void> {
  const plain = `${path}.cpio`;
  try {
    await pipeline(Readable.from(cpioPieces(tree.entries()), { objectMode: false }), createWriteStream(plain), { signal });
    await tools.run('zstd', ['--quiet', '--force', `-T${THREADS}`, `-${level}`, '-o', path, plain], COMPRESS_TIMEOUT_MS);
  } finally {
    await rm(plain, { force: true });
  }
}

/** Zero bytes that let another archive follow one of this size. */
export const paddingAfter = (sizeBytes: number): Buffer => Buffer.alloc((ALIGNMENT_BYTES - (sizeBytes % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES);
