import { constants } from 'node:fs';
import { open, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { join, relative, isAbsolute, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { DigestMeter } from '../../image-service/digest-meter.ts';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { ImageSource } from '../drivers/deployment.ts';
import type { ImageOrigin } from './image-origin.ts';
import { statedFacts } from './stated-facts.ts';

const READ_BYTES = 1024 * 1024;

/** An image in one of the directories that the configuration names. */
export function fileOrigin(url: URL, source: ImageSource, roots: readonly string[]): ImageOrigin {
  return {
    describe: async () => {
      const withSize = statedFacts(source, url);
      const file = await openBelow(roots, url);
      try {
        return withSize((await file.stat()).size);
      } finally {
        await file.close();
      }
    },
    fetch: async ({ hashAlgo }, destination, { signal, onProgress }) => {
      const meter = new DigestMeter(hashAlgo, onProgress);
      const file = await openBelow(roots, url);
      try {
        await pipeline(file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES }), meter, destination, { signal });
      } finally {
        await file.close();
      }
      return meter.result();
    },
  };
}

/**
 * Opens the regular file that a file URL names, and only when what was opened (symbolic links followed) lies below a root.
 * @throws InvalidParameterError
 */
async function openBelow(roots: readonly string[], url: URL): Promise<FileHandle> {
  const refuse = (problem: string, cause?: unknown): InvalidParameterError => new InvalidParameterError(`No image is read from ${url.href}: ${problem}`, { source: url.href }, cause);
  if (roots.length === 0) throw refuse('deploy.file_roots names no directory from which images may be read.');
  let path: string;
  try {
    path = fileURLToPath(url); // no host, no encoded slashes
    if (path.includes('\0')) throw new Error('its path has a null byte');
  } catch (error) {
    throw refuse(`expected file:///PATH, ${messageOf(error)}.`, error);
  }
  const realRoots = (await Promise.all(roots.map((root) => realpath(root).catch(() => null)))).filter((root) => root !== null); // a root that is not there holds nothing
  const outside = 'it is not in a directory of deploy.file_roots, or there is no such file.'; // in one sentence: whoever asks learns nothing of files elsewhere
  const real = await realpath(path).catch(() => null);
  if (real === null || !realRoots.some((root) => isBelow(root, real))) throw refuse(outside);
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    throw refuse(messageOf(error), error);
  });
  try {
    // A directory on the way may have become a symbolic link since: what counts is what is open now.
    const opened = await readlink(join('/proc/self/fd', String(file.fd)));
    if (!realRoots.some((root) => isBelow(root, opened))) throw refuse(outside);
    if (!(await file.stat()).isFile()) throw refuse('expected a regular file.');
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
