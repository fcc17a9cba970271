import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { CpioEntry } from '../../protocol/cpio-archive.ts';
import type { UnpackedRoot } from './unpacked-root.ts';

/** A file whose bytes are read when they are written into the archive. */
interface FileOnDisk {
  type: 'file-on-disk';
  path: string;
  mode: number;
  source: string;
}

/** What is to be in an initramfs: each path once, parents before what lies in them. */
export class ImageTree {
  readonly #entries = new Map<string, CpioEntry | FileOnDisk>();

  /** Parents that are not there are added. A path that is there already gets the new entry. */
  add(entry: CpioEntry | FileOnDisk): void {
    for (let parent = posix.dirname(entry.path); parent !== '.' && !this.#entries.has(parent); parent = posix.dirname(parent)) this.#entries.set(parent, { type: 'directory', path: parent });
    this.#entries.set(entry.path, entry);
  }

  addDirectory(path: string, mode = 0o755): void {
    this.add({ type: 'directory', path, mode });
  }

  addLink(path: string, target: string): void {
    this.add({ type: 'symlink', path, target });
  }

  addFile(path: string, content: Buffer | string, mode = 0o644): void {
    this.add({ type: 'file', path, content, mode });
  }

  /** A file of the unpacked packages with the links that lead to it, or a directory with all that is in it. */
  addUnpacked(root: UnpackedRoot, path: string): void {
    for (const step of root.chainOf(path)) {
      const source = join(root.path, step);
      const stats = lstatSync(source);
      if (stats.isSymbolicLink()) this.addLink(step, readlinkSync(source));
      else if (stats.isFile()) this.add({ type: 'file-on-disk', path: step, mode: stats.mode & 0o7777, source });
      else for (const name of root.list(step)) this.addUnpacked(root, `${step}/${name}`);
    }
  }

  /** Paths of everything but directories, sorted. */
  paths(): string[] {
    return [...this.#entries.values()].filter(({ type }) => type !== 'directory').map(({ path }) => path).sort();
  }

  /** Of all files in it. */
  sizeBytes(): number {
    return [...this.#entries.values()].reduce((sum, entry) => {
      if (entry.type === 'file-on-disk') return sum + lstatSync(entry.source).size;
      return entry.type === 'file' ? sum + Buffer.byteLength(entry.content) : sum;
    }, 0);
  }

  /** The bytes of a file in it, or null when there is no file of that path. */
  read(path: string): Buffer | null {
    const entry = this.#entries.get(path);
    if (entry?.type === 'file-on-disk') return readFileSync(entry.source);
    return entry?.type === 'file' ? Buffer.from(entry.content) : null;
  }

  /** Sorted by path; files are read one by one as they are taken. */
  *entries(): Generator<CpioEntry> {
    for (const path of [...this.#entries.keys()].sort()) {
      const entry = this.#entries.get(path)!;
      yield entry.type === 'file-on-disk' ? { type: 'file', path, mode: entry.mode, content: readFileSync(entry.source) } : entry;
    }
  }
}
