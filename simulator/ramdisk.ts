import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { SYSTEM_PATH } from '../protocol/program.ts';
import { OperationFailedError } from '../protocol/errors.ts';
import type { BootLogFile } from './boot-log-file.ts';
import type { SystemEnd } from './machine-hardware.ts';
import { MACHINE_INIT, RESET_EXIT_CODE } from './machine-init.ts';

const START_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 20_000;

export interface RamdiskOptions {
  command: readonly string[];
  /** Directory that becomes the ramdisk's memory. */
  runDirectory: string;
  memoryBytes: number;
  log: BootLogFile;
}

/**
 * The ramdisk that runs on a simulated machine: its own PID and mount namespace, so that switching off is what it is on a
 * real machine: every process is killed at once, and its mounts and memory vanish with it. It dies with the simulator too.
 */
export class Ramdisk {
  /** Resolves when every process of the machine is gone, whoever ended it. */
  readonly ended: Promise<SystemEnd>;
  readonly #outer: ChildProcess;
  readonly #initPid: number;
  #running = true;
  #shuttingDown = false;

  private constructor(outer: ChildProcess, initPid: number, closed: Promise<unknown>) {
    this.#outer = outer;
    this.#initPid = initPid;
    this.ended = closed.then(() => {
      this.#running = false;
      return this.#endOf(outer.exitCode);
    });
  }

  /** @throws OperationFailedError when the namespace cannot be made (not root, no unshare). */
  static async start(options: RamdiskOptions): Promise<Ramdisk> {
    const init = ['sh', '-c', MACHINE_INIT, 'machine-init', options.runDirectory, String(options.memoryBytes), ...options.command];
    const namespace = ['unshare', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--propagation', 'private'];
    // A machine has none of its rack's environment, which may hold secrets.
    const outer = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...namespace, '--', ...init], { cwd: '/', env: { PATH: SYSTEM_PATH, LANG: 'C.UTF-8' }, stdio: ['ignore', 'pipe', 'pipe'] });
    options.log.follow(outer.stdout);
    options.log.follow(outer.stderr);
    const closed = once(outer, 'close');
    closed.catch(() => undefined); // a failed spawn is reported by findInit below
    const initPid = await findInit(outer, closed);
    return new Ramdisk(outer, initPid, closed);
  }

  /** Asks the ramdisk to shut down; it is switched off when it has not within `graceMs`. */
  async shutDown(graceMs: number): Promise<void> {
    this.#shuttingDown = true;
    this.#signal('SIGTERM');
    const patience = new AbortController();
    await Promise.race([this.ended, pause(graceMs, undefined, { signal: patience.signal }).catch(() => undefined)]);
    patience.abort();
    await this.kill();
  }

  /** Power cut: SIGKILL of the namespace's first process takes all others with it; resolves when they are gone. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL');
    const patience = new AbortController();
    const late = pause(KILL_TIMEOUT_MS, 'late', { signal: patience.signal }).catch(() => undefined);
    const outcome = await Promise.race([this.ended, late]);
    patience.abort();
    if (outcome === 'late') throw new OperationFailedError(`The simulated machine's processes did not end within ${KILL_TIMEOUT_MS / 1_000} s of SIGKILL (first process ${this.#initPid})`);
  }

  /** What ended the namespace's first process, which unshare hands on. */
  #endOf(exitCode: number | null): SystemEnd {
    if (exitCode === RESET_EXIT_CODE) return 'reset';
    return this.#shuttingDown ? 'off' : 'halted';
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#running || this.#outer.exitCode !== null || this.#outer.signalCode !== null) return;
    try {
      process.kill(this.#initPid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ended by itself meanwhile
    }
  }
}

/** Process id, as the host counts, of the namespace's first process: the only child of unshare. */
async function findInit(outer: ChildProcess, closed: Promise<unknown>): Promise<number> {
  let end: string | undefined;
  closed.then(() => (end = `it ended with exit code ${outer.exitCode}; see the boot's log`), (error: Error) => (end = error.message));
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (end === undefined && Date.now() < deadline) {
    const children = outer.pid === undefined ? '' : await readFile(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8').catch(() => ''); // ended: `end` tells
    if (children.trim() !== '') return Number(children.trim().split(' ')[0]);
    await pause(5);
  }
  outer.kill('SIGKILL');
  throw new OperationFailedError(`The simulated machine could not make its own PID and mount namespace (unshare, as root): ${end ?? 'nothing ran within 10 s'}`);
}
