import { mkdirSync, readFileSync, rmSync, rmdirSync } from 'node:fs';
import { z } from 'zod';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { RunDirectory } from '../run-directory.ts';
import { findMount, unmount } from './mounts.ts';
import { findProcesses, identifyProcess, isRunning, killProcess, waitForEnd, type ProcessIdentity } from './process-identity.ts';

const RECORD = 'processes.json';
const recordSchema = z.array(z.object({ pid: z.number().int(), startTicks: z.string() }));
/** Where mount.davfs keeps its pid files (mount.davfs(8), FILES). */
const DAVFS_PID_DIRECTORY = '/run/mount.davfs';
const KILL_TIMEOUT_MS = 10_000;

/**
 * Everything that a capture mounts, starts and writes, in one place, so that one function removes it: after a capture, on
 * every path, and when an agent starts that finds what a killed one left behind.
 */
export class CaptureWorkspace {
  /** Where the share is mounted. */
  readonly shareDirectory: string;
  /** A tmpfs of known size: the cache of davfs2 and its private configuration. */
  readonly cacheDirectory: string;
  readonly #runDirectory: RunDirectory;
  readonly #root: string;

  constructor(runDirectory: RunDirectory) {
    this.#runDirectory = runDirectory;
    this.#root = runDirectory.pathOf('capture');
    this.shareDirectory = `${this.#root}/share`;
    this.cacheDirectory = `${this.#root}/cache`;
  }

  create(): void {
    for (const directory of [this.#root, this.shareDirectory, this.cacheDirectory]) mkdirSync(directory, { mode: 0o700 });
  }

  /** Remembers a program that must not outlive us. It is written to disk before this returns. */
  recordProcess(pid: number): void {
    const identity = identifyProcess(pid);
    if (identity) this.#runDirectory.write(RECORD, JSON.stringify([...this.#recorded(), identity]));
  }

  /** The running davfs2 daemon of our share, and what is only on its way to become it. */
  davfsProcesses(): ProcessIdentity[] {
    return ['mount', 'mount.davfs'].flatMap((program) => findProcesses(program, this.shareDirectory));
  }

  /** Ends davfs2 at once: what is not uploaded yet never will be. */
  killDavfs(): void {
    this.davfsProcesses().forEach(killProcess);
  }

  /**
   * Ends what runs, unmounts what is mounted, removes what is stored. May be called again; nothing there: fine.
   * Returns what it found and removed. @throws OperationFailedError naming what would not go.
   */
  async clear(): Promise<string[]> {
    const found: string[] = [];
    // davfs2 first: when its user qemu-img ends before it, it uploads the truncated image
    for (;;) {
      const daemons = this.davfsProcesses();
      if (daemons.length === 0) break;
      found.push(...daemons.map(({ pid }) => `davfs2 daemon ${pid}`));
      await endAll(daemons, 'mount.davfs');
    }
    const recorded = this.#recorded().filter(isRunning);
    found.push(...recorded.map(({ pid }) => `process ${pid}`));
    await endAll(recorded, 'a program of the capture');
    for (const directory of [this.shareDirectory, this.cacheDirectory]) {
      const mount = findMount(directory);
      if (!mount) continue;
      found.push(`${mount.type} on ${directory}`);
      await unmount(directory, { force: true });
    }
    this.#removePidFile();
    this.#removeDirectories();
    this.#runDirectory.remove(RECORD);
    return found;
  }

  #recorded(): ProcessIdentity[] {
    const text = this.#runDirectory.read(RECORD);
    return text === null ? [] : recordSchema.parse(JSON.parse(text));
  }

  /** A killed daemon leaves its pid file, and the next mount at this directory would be refused because of it. */
  #removePidFile(): void {
    const path = `${DAVFS_PID_DIRECTORY}/${this.shareDirectory.replace(/^\/+/, '').replaceAll('/', '-')}.pid`;
    try {
      const pid = Number(readFileSync(path, 'utf8'));
      // /a/b and /a-b share a pid file's name: one of a living daemon is not ours, ours have just ended
      if (!findProcesses('mount.davfs', '-o').some((daemon) => daemon.pid === pid)) rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // no daemon, no file
    }
  }

  /** rmdir, never a recursive removal: what was meant to be under a mount must not be deleted by a mistake here. */
  #removeDirectories(): void {
    for (const directory of [this.shareDirectory, this.cacheDirectory, this.#root]) {
      try {
        rmdirSync(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        throw new OperationFailedError(`cannot remove ${directory}: ${(error as Error).message}`, { directory }, error);
      }
    }
  }
}

async function endAll(processes: readonly ProcessIdentity[], what: string): Promise<void> {
  processes.forEach(killProcess);
  await Promise.all(processes.map((identity) => waitForEnd(identity, what, KILL_TIMEOUT_MS)));
}
