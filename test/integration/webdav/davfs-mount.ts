import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperationFailedError } from '../../../protocol/errors.ts';
import { runProgram } from '../../../protocol/program.ts';
import { until, type Guest } from '../../unit/webdav/served-share.ts';

export interface DavfsOptions {
  /** PEM of the server's certificate, pinned. */
  certificate?: string;
  /** The setting by which it is pinned. */
  pin?: 'trust_server_cert' | 'trust_ca_cert';
  /** Settings of davfs2.conf in place of ours. */
  settings?: Record<string, string | number>;
}

const PROGRAM_TIMEOUT_MS = 20_000;

/** A real davfs2 mount with a mount point, cache and configuration of its own. */
export class DavfsMount {
  readonly mountPoint: string;
  readonly cacheDirectory: string;
  readonly #home: string;
  #pid: number | null = null;

  private constructor(home: string) {
    this.#home = home;
    this.mountPoint = join(home, 'mnt');
    this.cacheDirectory = join(home, 'cache');
  }

  /** @throws when nothing is mounted afterwards, whatever mount's exit code says. */
  static async open(guest: Guest, options: DavfsOptions = {}): Promise<DavfsMount> {
    const mount = new DavfsMount(await mkdtemp(join(tmpdir(), 'metalshot-davfs-')));
    try {
      await mount.#mount(guest, options);
      return mount;
    } catch (error) {
      await mount.close();
      throw error;
    }
  }

  /** The daemon's process id, known once it is mounted. */
  get pid(): number {
    if (this.#pid === null) throw new OperationFailedError(`${this.mountPoint} is not mounted`);
    return this.#pid;
  }

  async isMounted(): Promise<boolean> {
    return (await readFile('/proc/mounts', 'utf8')).split('\n').some((line) => line.split(' ')[1] === this.mountPoint);
  }

  /** What davfs2 could not upload, and what it keeps: files in its cache. */
  async leftovers(): Promise<string[]> {
    const entries = await readdir(this.cacheDirectory, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile() && entry.name !== 'index').map((entry) => entry.name);
  }

  /** Unmounts and waits until the daemon, which uploads what is left, has ended. */
  async unmount(): Promise<void> {
    await runProgram('umount', ['-i', this.mountPoint], { timeoutMs: PROGRAM_TIMEOUT_MS });
    await this.daemonEnd();
  }

  async daemonEnd(): Promise<void> {
    await until(() => !isAlive(this.pid));
  }

  /** Leaves nothing, on every path. */
  async close(): Promise<void> {
    if (this.#pid !== null && isAlive(this.#pid)) process.kill(this.#pid, 'SIGKILL');
    if (await this.isMounted()) await runProgram('umount', ['-i', '-l', this.mountPoint], { timeoutMs: PROGRAM_TIMEOUT_MS });
    await rm(this.#home, { recursive: true, force: true });
  }

  async #mount(guest: Guest, { certificate, pin = 'trust_server_cert', settings = {} }: DavfsOptions): Promise<void> {
    await chmod(this.#home, 0o755); // the daemon runs as user davfs2
    await mkdir(this.mountPoint);
    await mkdir(this.cacheDirectory);
    await runProgram('chgrp', ['davfs2', this.cacheDirectory], { timeoutMs: PROGRAM_TIMEOUT_MS });
    await chmod(this.cacheDirectory, 0o775);
    const secrets = join(this.#home, 'secrets');
    await writeFile(secrets, `"${this.mountPoint}" "${guest.username}" "${guest.password}"\n`, { mode: 0o600 });
    const pinned = join(this.#home, 'server.pem');
    if (certificate !== undefined) await writeFile(pinned, certificate);
    const lines = {
      secrets,
      cache_dir: this.cacheDirectory,
      ask_auth: 0,
      use_locks: 1,
      delay_upload: 0,
      buf_size: 1024,
      ...(certificate === undefined ? {} : { [pin]: pinned }),
      ...settings,
    };
    const configuration = join(this.#home, 'davfs2.conf');
    await writeFile(configuration, Object.entries(lines).map(([name, value]) => `${name} ${value}\n`).join(''));
    await runProgram('mount', ['-t', 'davfs', '-o', `conf=${configuration}`, guest.url, this.mountPoint], { timeoutMs: PROGRAM_TIMEOUT_MS });
    if (!(await this.isMounted())) throw new OperationFailedError(`mount ended without an error, but ${this.mountPoint} is not mounted`);
    this.#pid = await this.#findPid();
  }

  /** The pid file is named for the mount point; it exists a moment before there is anything in it. */
  async #findPid(): Promise<number> {
    const file = `/var/run/mount.davfs/${this.mountPoint.slice(1).replaceAll('/', '-')}.pid`;
    let pid = Number.NaN;
    await until(async () => {
      pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10); // not written yet
      return pid > 1;
    });
    return pid;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: no such process
  }
}
