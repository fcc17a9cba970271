import { open } from 'node:fs/promises';

/** Makes names in a directory survive a power cut (fsync of the directory). */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
