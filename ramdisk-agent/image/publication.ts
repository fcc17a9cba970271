import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InvalidParameterError } from '../../protocol/errors.ts';
import { ARTIFACTS, MANIFEST_FILE } from './manifest.ts';

/** @throws InvalidParameterError when the directory holds what is not of a ramdisk: it would be replaced as a whole. */
export function checkReplaceable(directory: string): void {
  const known: readonly string[] = [...ARTIFACTS, MANIFEST_FILE];
  const foreign = existsSync(directory) ? readdirSync(directory).filter((name) => !known.includes(name)) : [];
  if (foreign.length > 0) throw new InvalidParameterError(`${directory} is replaced as a whole, and it holds more than a ramdisk: ${foreign.slice(0, 5).join(', ')}. Name a directory of its own with --output`);
}

/**
 * Has `fill` fill a new directory beside `directory` and puts it in its place, so that nobody finds files of two builds
 * there. On failure all is as it was.
 */
export async function publishDirectory(directory: string, fill: (building: string) => Promise<void>): Promise<void> {
  const parent = dirname(directory);
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, `.${basename(directory)}-`));
  try {
    const building = join(work, 'new');
    const replaced = join(work, 'old');
    await mkdir(building, { mode: 0o755 });
    await fill(building);
    checkReplaceable(directory);
    if (existsSync(directory)) await rename(directory, replaced);
    await rename(building, directory).catch(async (error: unknown) => {
      if (existsSync(replaced)) await rename(replaced, directory);
      throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
