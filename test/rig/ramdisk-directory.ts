import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where scripts/test.mjs has the ramdisk built (variant `cloud`) before the tests that boot machines. */
export const RAMDISK_DIRECTORY = fileURLToPath(new URL('../../node_modules/.cache/metalshot-ramdisk', import.meta.url));

/** Path of one of its files. @throws Error when the ramdisk has not been built. */
export function ramdiskFile(name: string): string {
  const path = join(RAMDISK_DIRECTORY, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: npm run test:system builds the ramdisk before its tests`);
  return path;
}
