import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';

const UNPACK_TIMEOUT_MS = 5 * 60_000;
const MOST_LINKS = 40;
const LOADER = 'usr/lib64/ld-linux-x86-64.so.2';
/** Where Debian keeps libraries of this architecture. */
export const LIBRARY_DIRECTORIES = ['usr/lib/x86_64-linux-gnu', 'usr/lib'];
const PROGRAM_DIRECTORIES = ['usr/bin', 'usr/sbin'];
/** Links into /usr on every Debian 12, though packages still bring files in both places. */
export const MERGED_DIRECTORIES = ['bin', 'sbin', 'lib', 'lib64'];

/** Packages unpacked into a directory that nothing is installed in. Paths are relative to it, without a leading slash. */
export class UnpackedRoot {
  readonly path: string;
  readonly #signal: AbortSignal;

  constructor(path: string, signal: AbortSignal) {
    this.path = path;
    this.#signal = signal;
  }

  /** Unpacks the files of packages and merges their /bin, /sbin, /lib and /lib64 into /usr. */
  async unpack(archives: readonly string[]): Promise<void> {
    for (const archive of archives) await runProgram('dpkg-deb', ['--extract', archive, this.path], { timeoutMs: UNPACK_TIMEOUT_MS, signal: this.#signal });
    for (const name of MERGED_DIRECTORIES) {
      await mkdir(join(this.path, name), { recursive: true });
      this.#merge(name);
      await symlink(`usr/${name}`, join(this.path, name));
    }
  }

  #merge(directory: string): void {
    mkdirSync(join(this.path, canonical(directory)), { recursive: true });
    for (const entry of readdirSync(join(this.path, directory), { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      const moved = join(this.path, canonical(path));
      if (entry.isDirectory()) this.#merge(path);
      else if (entry.isSymbolicLink()) symlinkSync(targetFromRoot(path, readlinkSync(join(this.path, path))), moved);
      else renameSync(join(this.path, path), moved);
    }
    rmSync(join(this.path, directory), { recursive: true });
  }

  /** Runs one of the unpacked programs with its own libraries. */
  async run(program: string, args: readonly string[], timeoutMs: number): Promise<void> {
    const libraries = LIBRARY_DIRECTORIES.map((directory) => join(this.path, directory)).join(':');
    await runProgram(join(this.path, LOADER), ['--library-path', libraries, join(this.path, this.findProgram(program)), ...args], { timeoutMs, signal: this.#signal });
  }

  /** @throws OperationFailedError when no package has it. */
  findProgram(name: string): string {
    const found = PROGRAM_DIRECTORIES.map((directory) => `${directory}/${name}`).find((path) => this.has(path));
    if (found === undefined) throw new OperationFailedError(`none of the packages of the ramdisk has a program ${name}`);
    return found;
  }

  /** All programs whose name fits: the name itself, or with a `*` at its end what begins with it. */
  findPrograms(pattern: string): string[] {
    if (!pattern.endsWith('*')) return [this.findProgram(pattern)];
    const found = PROGRAM_DIRECTORIES.flatMap((directory) => this.list(directory).filter((name) => name.startsWith(pattern.slice(0, -1))).map((name) => `${directory}/${name}`));
    if (found.length === 0) throw new OperationFailedError(`none of the packages of the ramdisk has programs ${pattern}`);
    return found;
  }

  /** Names in a directory, sorted; none when it is not there. */
  list(directory: string): string[] {
    return existsSync(join(this.path, directory)) ? readdirSync(join(this.path, directory)).sort() : [];
  }

  /** Whether there is such a file, directory or link, wherever a link leads. */
  has(path: string): boolean {
    return lstatSync(join(this.path, path), { throwIfNoEntry: false }) !== undefined;
  }

  /** The links that lead from this path to what it stands for, and that itself as the last. @throws InvalidParameterError when a link leads nowhere. */
  chainOf(path: string): string[] {
    const chain = [canonical(path)];
    for (;;) {
      const last = chain.at(-1)!;
      const stats = lstatSync(join(this.path, last), { throwIfNoEntry: false });
      if (!stats || chain.length > MOST_LINKS) throw new InvalidParameterError(`${path} leads to ${last}, which is in none of the packages of the ramdisk`);
      if (!stats.isSymbolicLink()) return chain;
      chain.push(canonical(resolveLink(last, readlinkSync(join(this.path, last)))));
    }
  }
}

/** The path that a link in this place leads to. */
const resolveLink = (path: string, target: string): string => (target.startsWith('/') ? target.slice(1) : posix.join(posix.dirname(path), target));

/** The same target, right from another place too: links to the same directory stay as they are. */
const targetFromRoot = (path: string, target: string): string => (target.includes('/') ? `/${canonical(resolveLink(path, target))}` : target);

/** The path without the links of a merged /usr. */
export function canonical(path: string): string {
  const [first = ''] = path.split('/');
  return MERGED_DIRECTORIES.includes(first) ? `usr/${path}` : path;
}
