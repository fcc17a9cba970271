import { createHash } from 'node:crypto';
import { open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Extent } from '../../protocol/disk-stream.ts';
import type { ImageSource } from '../drivers/deployment.ts';

/** A disk that is ready to be sent: a sparse raw file, and where its data are. */
export interface ReadyDisk {
  path: string;
  virtualSizeBytes: number;
  dataBytes: number;
  extents: readonly Extent[];
  /** Tells whether another source is asked for now. */
  sourceKey: string;
}

const NAMES = { disk: 'disk.raw', index: 'index.json' };
const indexSchema = z.object({ version: z.literal(1), source_key: z.string(), virtual_size_bytes: z.number(), extents: z.array(z.tuple([z.number(), z.number()])) });

export const diskPath = (directory: string): string => join(directory, NAMES.disk);

/** Not the source itself: a signed URL is as good as a password. */
export const sourceKeyOf = ({ source, diskFormat, hashAlgo, hashValue }: ImageSource): string => createHash('sha256').update(JSON.stringify([source, diskFormat, hashAlgo, hashValue])).digest('hex');

export const dataBytesOf = (extents: readonly Extent[]): number => extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);

/** Writes the index, which makes the disk in this directory a ready one: whole or not at all, also when the power fails. */
export async function writeIndex(directory: string, { sourceKey, virtualSizeBytes, extents }: Pick<ReadyDisk, 'sourceKey' | 'virtualSizeBytes' | 'extents'>): Promise<void> {
  const path = join(directory, NAMES.index);
  const index: z.infer<typeof indexSchema> = { version: 1, source_key: sourceKey, virtual_size_bytes: virtualSizeBytes, extents: extents.map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]) };
  await synced(`${path}.new`, 'wx', (file) => file.writeFile(JSON.stringify(index)));
  await rename(`${path}.new`, path);
  await synced(directory, 'r');
}

/** The ready disk of this directory, or null: there is none, or what is there is not whole. */
export async function readIndex(directory: string): Promise<ReadyDisk | null> {
  const path = diskPath(directory);
  try {
    const index = indexSchema.parse(JSON.parse(await readFile(join(directory, NAMES.index), 'utf8')));
    if ((await stat(path)).size !== index.virtual_size_bytes) return null;
    const extents = index.extents.map(([offsetBytes, lengthBytes]) => ({ offsetBytes, lengthBytes }));
    return { path, sourceKey: index.source_key, virtualSizeBytes: index.virtual_size_bytes, dataBytes: dataBytesOf(extents), extents };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError || error instanceof z.ZodError) return null; // it is made anew
    throw error;
  }
}

async function synced(path: string, flags: string, write?: (file: Awaited<ReturnType<typeof open>>) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await write?.(file);
    await file.sync();
  } finally {
    await file.close();
  }
}
