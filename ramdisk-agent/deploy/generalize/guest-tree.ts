import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationFailedError } from '../../../protocol/errors.ts';

const TEXT_LIMIT_BYTES = 1024 ** 2;
/** Where btrfs installations have their root when it is not the default subvolume (Fedora, Ubuntu, Debian). */
const ROOT_CANDIDATES = ['', 'root', '@', '@rootfs'];

/**
 * The tree of an image's root file system, mounted. Its content is foreign and may be hostile: no symbolic link in it is ever
 * followed, or a link could lead out of the mount into our own files. Nothing else changes it while it is mounted here.
 */
export class GuestTree {
  /** For people: "partition 2". */
  readonly place: string;
  readonly #root: string;

  constructor(root: string, place: string) {
    this.#root = root;
    this.place = place;
  }

  /** What stands at a path (without a leading slash); null when nothing does, or when it is reached only through something that is no directory. */
  async look(path: string): Promise<Stats | null> {
    const names = path.split('/');
    for (let depth = 1; ; depth += 1) {
      const stats = await lstat(this.#pathOf(names.slice(0, depth).join('/'))).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      });
      if (depth === names.length || stats === null) return stats;
      if (!stats.isDirectory()) return null;
    }
  }

  async isFile(path: string): Promise<boolean> {
    return (await this.look(path))?.isFile() ?? false;
  }

  /** Text of a regular file, a character for each byte (no encoding is known, and none of ours must change it); null when there is none. @throws OperationFailedError when it is larger than any such file. */
  async read(path: string): Promise<string | null> {
    const stats = await this.look(path);
    if (!stats?.isFile()) return null;
    if (stats.size > TEXT_LIMIT_BYTES) throw new OperationFailedError(`/${path} of the image has ${stats.size} bytes, expected a short text`);
    const file = await open(this.#pathOf(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return await file.readFile('latin1');
    } finally {
      await file.close();
    }
  }

  /** Writes a file, a byte for each character: into the one that is there, which keeps its owner, mode and labels; anything else at its place is replaced. */
  async write(path: string, text: string, mode: number): Promise<void> {
    const parent = path.split('/').slice(0, -1).join('/');
    if (!(await this.look(parent))?.isDirectory()) throw new OperationFailedError(`/${parent} of the image (${this.place}) is no directory, so /${path} cannot be written`);
    const existing = await this.isFile(path);
    if (!existing) await this.remove(path);
    const file = await open(this.#pathOf(path), constants.O_WRONLY | constants.O_NOFOLLOW | (existing ? constants.O_TRUNC : constants.O_CREAT | constants.O_EXCL), mode);
    try {
      await file.writeFile(text, 'latin1');
      if (!existing) await file.chmod(mode); // whatever our umask is
    } finally {
      await file.close();
    }
  }

  /** Removes a file or a symbolic link itself; nothing there: fine. */
  async remove(path: string): Promise<void> {
    if (await this.look(path)) await rm(this.#pathOf(path));
  }

  /** Names in a directory; none when it is no directory. */
  async list(path: string): Promise<string[]> {
    return (await this.look(path))?.isDirectory() ? (await readdir(this.#pathOf(path))).toSorted() : [];
  }

  #pathOf(path: string): string {
    return join(this.#root, path);
  }
}

/** The roots of operating systems in a mounted file system. */
export async function findRootTrees(directory: string, place: string): Promise<GuestTree[]> {
  const trees: GuestTree[] = [];
  for (const candidate of ROOT_CANDIDATES) {
    const isDirectory = candidate === '' || (await new GuestTree(directory, place).look(candidate))?.isDirectory();
    const tree = new GuestTree(join(directory, candidate), candidate === '' ? place : `${place} (${candidate})`);
    if (isDirectory && ((await tree.look('etc/os-release')) || (await tree.look('etc/machine-id')))) trees.push(tree);
  }
  return trees;
}
