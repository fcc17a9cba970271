import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import type { Guest, ServedShare } from './served-share.ts';

/** What the disk holds of a snapshot, without the share's own note of the quota. */
export async function filesOf(served: ServedShare, guest: Guest): Promise<string[]> {
  return (await readdir(join(served.directory, guest.uuid))).filter((name) => name !== '.quota').sort();
}

/** Files below the spool that this process has open. */
export async function openFilesOf(served: ServedShare): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd');
  const targets = await Promise.all(descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => ''))); // the one of this listing is gone
  return targets.filter((target) => target.startsWith(`${served.directory}/`));
}

export const sha512 = (data: Buffer | string): string => createHash('sha512').update(data).digest('hex');
