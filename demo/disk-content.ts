import { createCipheriv, createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, open, readdir, readlink, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const MIB = 1024 ** 2;

/** Files of this system that every Debian has, and how much of each directory. */
const SOURCES = [
  { directory: '/usr/bin', bytes: 60 * MIB, files: 800 },
  { directory: '/usr/sbin', bytes: 12 * MIB, files: 300 },
  { directory: '/usr/lib', bytes: 90 * MIB, files: 2_000 },
  { directory: '/usr/share', bytes: 70 * MIB, files: 4_000 },
] as const;
const LARGEST_COPY_BYTES = 12 * MIB;
const COPIES_AT_ONCE = 8;

/** How much of everything goes onto the disk; 1 is the demo's 320 MB. */
export interface ContentOptions {
  share?: number;
  signal?: AbortSignal;
}

/** Fills a directory with what the demo's server has on its disk: copies of real files, and generated ones of a fixed seed. */
export async function fillDirectory(target: string, { share = 1, signal }: ContentOptions = {}): Promise<void> {
  for (const source of SOURCES) await copyPart(source.directory, join(target, source.directory), { bytes: source.bytes * share, files: source.files * share }, signal);
  await generate(join(target, 'srv'), share, signal);
}

/** Copies files and symbolic links in the order of their names until one of the limits is reached. */
async function copyPart(source: string, target: string, limit: { bytes: number; files: number }, signal?: AbortSignal): Promise<void> {
  const chosen: { from: string; to: string; link: boolean }[] = [];
  let bytes = 0;
  for await (const { path, entry } of walk(source)) {
    signal?.throwIfAborted();
    if (chosen.length >= limit.files || bytes >= limit.bytes) break;
    if (entry.isFile() && (entry.size > LARGEST_COPY_BYTES || bytes + entry.size > limit.bytes)) continue;
    if (!entry.isFile() && !entry.isSymbolicLink()) continue;
    if (entry.isFile()) bytes += entry.size;
    chosen.push({ from: path, to: join(target, path.slice(source.length)), link: entry.isSymbolicLink() });
  }
  await mkdir(target, { recursive: true });
  for (const directory of new Set(chosen.map(({ to }) => dirname(to)))) await mkdir(directory, { recursive: true });
  const copy = async ({ from, to, link: isLink }: (typeof chosen)[number]): Promise<void> => (isLink ? symlink(await readlink(from), to) : copyFile(from, to));
  const queue = chosen.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      signal?.throwIfAborted();
      await copy(item);
    }
  };
  // All have ended before the first failure is thrown: nothing is written any more when the caller cleans up.
  const ends = await Promise.allSettled(Array.from({ length: COPIES_AT_ONCE }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

async function* walk(directory: string): AsyncGenerator<{ path: string; entry: Stats }> {
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name);
    const entry = await lstat(path);
    if (entry.isDirectory()) yield* walk(path);
    else yield { path, entry };
  }
}

/** Large and small pseudo-random files, and what file systems and tools have stumbled over before. */
async function generate(directory: string, share: number, signal?: AbortSignal): Promise<void> {
  const deep = join(directory, ...Array.from({ length: 12 }, (_, depth) => `level-${depth}`));
  await mkdir(deep, { recursive: true });
  await writePseudoRandom(join(directory, 'database.bin'), 110 * MIB * share, 'database', signal);
  for (let index = 0; index < 400 * share; index += 1) await writePseudoRandom(join(directory, `record-${index}`), (index * 7_919) % 40_000, `record ${index}`, signal);
  await writeFile(join(directory, 'empty'), '');
  await writeFile(join(directory, 'a name with spaces, äöü and a\nline break'), 'names are bytes\n');
  await writeFile(join(directory, 'x'.repeat(255)), 'the longest name\n');
  await writeFile(join(deep, 'secret'), 'mode 0600\n');
  await chmod(join(deep, 'secret'), 0o600);
  await writeFile(join(directory, 'sparse'), 'the beginning');
  await truncate(join(directory, 'sparse'), 16 * MIB);
  await link(join(directory, 'record-0'), join(directory, 'hard-link'));
  await symlink('level-0/does-not-exist', join(directory, 'dangling'));
}

/** The same bytes for the same seed on every machine; as hard to compress as encrypted data. */
export async function writePseudoRandom(path: string, sizeBytes: number, seed: string, signal?: AbortSignal): Promise<void> {
  const cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(seed).digest().subarray(0, 16), Buffer.alloc(16));
  const zeros = Buffer.alloc(MIB);
  const file = await open(path, 'w');
  try {
    for (let left = Math.floor(sizeBytes); left > 0; left -= MIB) {
      signal?.throwIfAborted();
      await file.writeFile(cipher.update(zeros.subarray(0, Math.min(left, MIB))));
    }
  } finally {
    await file.close();
  }
}
