import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runProgram, type ProgramResult } from '../../../../protocol/program.ts';
import { mapDisk, type DiskMap, type MapOptions } from '../../../../ramdisk-agent/extent-map/disk-map.ts';
import type { Extent } from '../../../../ramdisk-agent/qcow2/extents.ts';

export const MIB = 1024 ** 2;
export const run = (command: string, ...args: string[]): Promise<ProgramResult> => runProgram(command, args, { timeoutMs: 120_000 });

/** A new directory for `use`; gone afterwards. */
export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-map-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A disk as a sparse image file, with a partition table in sfdisk's words (null: none). */
export async function makeDisk(path: string, sizeBytes: number, table: string | null): Promise<string> {
  await writeFile(path, '');
  await truncate(path, sizeBytes);
  if (table !== null) await runProgram('sfdisk', ['--quiet', '--force', '--wipe', 'never', path], { input: table, timeoutMs: 30_000 });
  return path;
}

export const mapOf = (name: string, sizeBytes: number, options: Partial<MapOptions> = {}): Promise<DiskMap> => mapDisk({ name, sizeBytes }, { signal: new AbortController().signal, ...options });

/** A range of a disk as a loop device for `use`. */
export async function onLoop<T>(path: string, { offsetBytes, sizeBytes }: Extent, use: (device: string) => Promise<T>, options: readonly string[] = []): Promise<T> {
  const device = (await run('losetup', '--find', '--show', '--offset', String(offsetBytes), '--sizelimit', String(sizeBytes), ...options, path)).stdout.trim();
  try {
    return await use(device);
  } finally {
    await run('losetup', '--detach', device);
  }
}

/** The file system in a range of a disk, mounted for `use`; read-only: nothing at all is written (XFS would, into its log). */
export const mounted = <T>(path: string, range: Extent, use: (directory: string) => Promise<T>, { readOnly = false } = {}): Promise<T> =>
  withDirectory((directory) =>
    onLoop(path, range, async (device) => {
      await run('mount', '-o', readOnly ? 'ro' : 'rw', device, directory);
      try {
        return await use(directory);
      } finally {
        await run('umount', directory);
      }
    }, readOnly ? ['--read-only'] : []),
  );

/** Bytes that are deleted again, and do not compress or look like holes. */
export const GARBAGE_BYTES = 24 * MIB;
export const LARGE_FILE_BYTES = 3 * MIB;

/** Writes files of all sizes into a file system in between others that are deleted afterwards, so that what lives is scattered. */
export async function fillAndDelete(root: string): Promise<void> {
  await mkdir(join(root, 'deep/er'), { recursive: true });
  await mkdir(join(root, 'garbage'));
  for (let number = 0; number < 24; number += 1) {
    await writeFile(join(root, `garbage/${number}`), randomBytes(GARBAGE_BYTES / 24));
    await writeFile(join(root, `deep/er/${number}`), randomBytes(1 + number * 3_001));
  }
  await writeFile(join(root, 'large'), randomBytes(LARGE_FILE_BYTES));
  await run('sync', '--file-system', root); // what is deleted before it was written never reaches the disk
  await rm(join(root, 'garbage'), { recursive: true });
}

/** Digest of every file below a directory, by path. */
export async function digestsOf(root: string): Promise<Record<string, string>> {
  const names = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const digests = await Promise.all(names.map(async (name) => [name.slice(root.length), createHash('sha256').update(await readFile(name)).digest('hex')] as const));
  return Object.fromEntries(digests.sort());
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** What an image of a disk restores to: the mapped ranges, and zeros elsewhere. */
export async function copyMapped(source: string, target: string, sizeBytes: number, extents: readonly Extent[]): Promise<void> {
  await writeFile(target, '');
  await truncate(target, sizeBytes);
  for (const { offsetBytes, sizeBytes: length } of extents) {
    await pipeline(createReadStream(source, { start: offsetBytes, end: offsetBytes + length - 1 }), createWriteStream(target, { flags: 'r+', start: offsetBytes }));
  }
}

/** A copy as a disk would be after the power failed at this moment. */
export const crashCopy = (source: string, target: string): Promise<ProgramResult> => run('cp', '--sparse=always', source, target);

/** Loop devices that lie over a file. */
export const loopsOver = async (path: string): Promise<string> => (await run('losetup', '--associated', path)).stdout;
