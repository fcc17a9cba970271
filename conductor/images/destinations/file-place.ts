import { constants } from 'node:fs';
import { open, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { InvalidParameterError, OperationFailedError, messageOf } from '../../../protocol/errors.ts';

/** An open directory: its entries are reached through it, so that they stay where they were checked, whatever happens to the path. */
export interface FilePlace {
  directory: FileHandle;
  name: string;
  /** Of an entry of the directory. */
  path(entry: string): string;
}

/**
 * Opens the directory of a file URL, does the work in it, and closes it.
 * @throws InvalidParameterError unless it is a directory of one of the roots, reached without a symbolic link below the root.
 */
export async function atPlace<T>(url: URL, roots: readonly string[], work: (place: FilePlace) => Promise<T>): Promise<T> {
  const refuse = (problem: string, cause?: unknown): InvalidParameterError => new InvalidParameterError(`No snapshot is written to ${url.href}: ${problem}`, { destination: url.href }, cause);
  if (roots.length === 0) throw refuse('snapshot.file_roots names no directory into which snapshots may be written.');
  const parent = dirname(url.pathname);
  const allowed = (await Promise.all(roots.map((root) => realParent(root, parent)))).find((real) => real !== null);
  // in one sentence: whoever asks learns nothing of directories elsewhere
  const outside = 'its directory is not in one of snapshot.file_roots, is not there, or is reached by a symbolic link.';
  if (allowed === undefined || (await realpath(parent).catch(() => null)) !== allowed) throw refuse(outside);
  const directory = await open(allowed, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch((error: NodeJS.ErrnoException) => {
    throw refuse(error.code === 'ENOTDIR' ? outside : messageOf(error), error);
  });
  try {
    const within = join('/proc/self/fd', String(directory.fd));
    if ((await readlink(within)) !== allowed) throw refuse(outside); // became a symbolic link meanwhile
    return await work({ directory, name: basename(url.pathname), path: (entry) => join(within, entry) });
  } catch (error) {
    throw storageFailure(url, error);
  } finally {
    await directory.close();
  }
}

/** Where `parent` really is when it is the root or below it; null: it is elsewhere, or the root is not there. */
async function realParent(root: string, parent: string): Promise<string | null> {
  const way = relative(root, parent);
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) return null;
  const real = await realpath(root).catch(() => null); // a root that is not there holds nothing
  return real === null ? null : join(real, way);
}

/** What the file system says, with the place; anything else as it is. */
function storageFailure(url: URL, error: unknown): unknown {
  const { code, syscall } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code === undefined || syscall === undefined) return error;
  return new OperationFailedError(`${url.href}: ${messageOf(error)}`, { retryable: false, code }, error);
}
