import { chmodSync, closeSync, openSync, readFileSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';
import { judgeDavfsIndex } from './davfs-index.ts';
import { findMount, unmount } from './mounts.ts';
import { isRunning, type ProcessIdentity } from './process-identity.ts';
import type { CaptureWorkspace } from './workspace.ts';

export interface Share {
  /** Without credentials and without escapes (mount.davfs(8): the path "must not be %-encoded"). */
  url: string;
  username: string;
  password: string;
  /** PEM of the very certificate that the server has to show. */
  ca?: string;
}

export interface CacheOptions {
  /** The directory for davfs2's cache, within a tmpfs of this size. */
  cacheFiles: string;
  cacheSizeBytes: number;
  /** How long the server may take to answer once it has the whole image. */
  readTimeoutS: number;
}

/** A file as davfs2 holds it locally. */
export interface CachedFile {
  path: string;
  sizeBytes: number;
}

const MIB = 1024 ** 2;
const MOUNT_TIMEOUT_MS = 60_000;
const DAEMON_POLL_MS = 20;
const UPLOAD_POLL_MS = 100;

/** A WebDAV share mounted with davfs2, whose answers are not believed: what counts is what its daemon leaves behind. */
export class DavfsMount {
  readonly directory: string;
  readonly daemon: ProcessIdentity;
  readonly #cacheFiles: string;

  private constructor(directory: string, daemon: ProcessIdentity, cacheFiles: string) {
    this.directory = directory;
    this.daemon = daemon;
    this.#cacheFiles = cacheFiles;
  }

  /**
   * Mounts the share at the workspace's directory, with the cache in the workspace's tmpfs.
   * @throws OperationFailedError when it is not mounted afterwards, whatever mount's exit code was.
   */
  static async mount(workspace: CaptureWorkspace, share: Share, cache: CacheOptions, signal: AbortSignal): Promise<DavfsMount> {
    const { shareDirectory: directory, cacheDirectory } = workspace;
    const url = new URL(share.url);
    if (url.username !== '' || url.password !== '' || url.href.includes('%')) throw new InvalidParameterError('url: expected a URL without credentials and without % escapes');
    // davfs2 takes the system's files first and these on top (its option conf=), although its manual says otherwise of root
    const secrets = join(cacheDirectory, 'secrets');
    writeFileSync(secrets, `${directory} ${quote(share.username)} ${quote(share.password)}\n`, { mode: 0o600 });
    const certificate = join(cacheDirectory, 'share.pem');
    writeFileSync(certificate, share.ca ?? '', { mode: 0o644 });
    chmodSync(certificate, 0o644);
    const configuration = join(cacheDirectory, 'davfs2.conf');
    writeFileSync(configuration, configure({ secrets, pinned: share.ca !== undefined, ...cache }), { mode: 0o600 });
    // The daemon runs as the user davfs2, who cannot enter our 0700 directories: it reaches the two by inherited descriptors.
    const inherited = [openSync(cache.cacheFiles, 'r'), openSync(certificate, 'r')];
    try {
      const { stderr } = await runProgram('mount', ['-t', 'davfs', '-o', `conf=${configuration},uid=0,nosuid,nodev,noexec`, url.href, directory], { timeoutMs: MOUNT_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT, inheritedFiles: inherited });
      // an unreachable server is no failure to mount.davfs: exit code 0, "mounting anyway", with a mount or without
      if (findMount(directory)?.type !== 'fuse' || stderr.includes('mounting anyway')) throw new OperationFailedError(`the share ${url.href} cannot be reached: ${oneLine(stderr) || 'it is not mounted, although mount reported success'}`, { url: url.href });
    } finally {
      inherited.forEach((file) => closeSync(file));
    }
    return new DavfsMount(directory, await findDaemon(workspace, signal), cache.cacheFiles);
  }

  /** The image as davfs2 holds it locally and sends it. Reading the mount instead would have it ask the server first. */
  cachedFile(imageName: string): CachedFile {
    const files = this.#cachedFiles().filter((path) => basename(path).startsWith(`${imageName}-`));
    if (files.length !== 1) throw new OperationFailedError(`expected one file of ${imageName} in the cache of davfs2, found ${files.length === 0 ? 'none' : files.map((path) => basename(path)).join(', ')}`);
    return { path: files[0]!, sizeBytes: statSync(files[0]!).size };
  }

  /**
   * Unmounts, and waits until the daemon has sent what it still has to send, and has ended.
   * @param onPosition called whenever it has come further: bytes of the file.
   */
  async detachAndUpload(file: CachedFile, signal: AbortSignal, onPosition: (position: number) => void): Promise<void> {
    onPosition(0);
    await unmount(this.directory);
    let lastPosition = 0;
    while (isRunning(this.daemon)) {
      signal.throwIfAborted();
      const position = this.#uploadPosition(file.path);
      if (position !== null && position !== lastPosition) onPosition(Math.min(position, file.sizeBytes));
      lastPosition = position ?? lastPosition;
      await sleep(UPLOAD_POLL_MS);
    }
  }

  /** How far the daemon has read a file in order to send it; null while it does not have it open for that. */
  #uploadPosition(cachedFile: string): number | null {
    const descriptors = `/proc/${this.daemon.pid}/fd`;
    try {
      const positions = readdirSync(descriptors)
        .filter((name) => readlinkSync(join(descriptors, name)).endsWith(`/${basename(cachedFile)}`))
        .map((name) => Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/${this.daemon.pid}/fdinfo/${name}`, 'utf8'))?.[1]));
      return positions.length === 0 ? null : Math.max(...positions);
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null; // closed, or ended, while we looked
      throw error;
    }
  }

  /**
   * To be called once the daemon has ended. @throws OperationFailedError naming what was left behind, unless davfs2's own
   * record says that it has stored the image on the server whole, and nothing else is left over.
   */
  verifyUploaded(imageName: string): void {
    if (isRunning(this.daemon)) throw new OperationFailedError('the davfs2 daemon still runs: its record is not written yet');
    const index = this.#cacheEntries().find((path) => basename(path) === 'index');
    const problem = index === undefined ? `it ended without leaving its record; in its cache: ${this.#names()}` : judgeDavfsIndex(readFileSync(index, 'utf8'), imageName);
    if (problem !== null) throw new OperationFailedError(`the upload to the share is not complete: ${problem}`, { image_name: imageName });
  }

  #cachedFiles(): string[] {
    return this.#cacheEntries().filter((path) => basename(path) !== 'index');
  }

  #names(): string {
    return this.#cacheEntries().map((path) => basename(path)).join(', ') || 'nothing';
  }

  #cacheEntries(): string[] {
    return readdirSync(this.#cacheFiles).flatMap((mount) => readdirSync(join(this.#cacheFiles, mount)).map((name) => join(this.#cacheFiles, mount, name)));
  }
}

/** davfs2.conf(5). Locks, because their absence lets two clients write one file; everything uploads at once. */
function configure(options: CacheOptions & { secrets: string; pinned: boolean }): string {
  return [
    `secrets ${options.secrets}`,
    'cache_dir /proc/self/fd/3',
    `cache_size ${Math.ceil(options.cacheSizeBytes / MIB) + 1}`, // MiB; more than there is, so that what was sent stays for the digest
    ...(options.pinned ? ['trust_server_cert /proc/self/fd/4'] : []),
    'ask_auth 0',
    'buf_size 1024', // KiB; the default of 16 is five times slower
    'delay_upload 0',
    'use_locks 1',
    `read_timeout ${Math.ceil(options.readTimeoutS)}`,
    '',
  ].join('\n');
}

/** davfs2.conf(5), GENERAL SYNTAX RULES: within double quotes only `"` and `\` are escaped. */
function quote(secret: string): string {
  if (/\p{Cc}/u.test(secret)) throw new InvalidParameterError('username and password must not hold control characters');
  return `"${secret.replace(/["\\]/g, '\\$&')}"`;
}

const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ');

/** mount.davfs forks its daemon and leaves: for a moment both are there. */
async function findDaemon(workspace: CaptureWorkspace, signal: AbortSignal): Promise<ProcessIdentity> {
  const giveUpAt = performance.now() + MOUNT_TIMEOUT_MS;
  for (;;) {
    signal.throwIfAborted();
    const processes = workspace.davfsProcesses();
    if (processes.length === 1) return processes[0]!;
    if (performance.now() > giveUpAt) throw new OperationFailedError(`expected one davfs2 daemon for the share, found ${processes.length}`);
    await sleep(DAEMON_POLL_MS);
  }
}
