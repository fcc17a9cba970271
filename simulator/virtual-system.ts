import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Duplex, Readable, Writable } from 'node:stream';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';
import type { BootLogFile } from './boot-log-file.ts';
import type { RunningSystem, SystemEnd } from './machine-hardware.ts';
import { QmpClient, type QmpEvent } from './qmp-client.ts';

const IP_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 30_000;
/** The file descriptor of QEMU's end of the QMP connection: the first behind the standard ones. */
export const QMP_FD = 3;
/** Reasons of QEMU's SHUTDOWN event that are resets (QAPI, ShutdownCause); a watchdog's is the guest's. */
const RESETS: readonly unknown[] = ['guest-reset', 'host-qmp-system-reset', 'subsystem-reset'];

export interface VirtualSystemOptions {
  log: BootLogFile;
  /** The taps become ports of it; null: they are somebody else's business. */
  bridge: string | null;
  taps: readonly string[];
}

/** One boot of a virtual machine: a QEMU process, which dies with the simulator. */
export class VirtualSystem implements RunningSystem {
  readonly runsFrom = null;
  readonly logPath: string;
  readonly ended: Promise<SystemEnd>;
  readonly #child: ChildProcess;
  readonly #qmp: QmpClient;
  readonly #log: BootLogFile;
  #wasReset = false;

  private constructor(args: readonly string[], log: BootLogFile) {
    this.logPath = log.path;
    this.#log = log;
    const stdio = Array.from({ length: QMP_FD + 1 }, () => 'pipe' as const);
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64', ...args], { cwd: '/', env: { PATH: SYSTEM_PATH, LANG: 'C.UTF-8' }, stdio });
    const [stdin, stdout, stderr, qmp] = this.#child.stdio as unknown as [Writable, Readable, Readable, Duplex]; // as asked for above
    log.follow(stdout);
    log.follow(stderr);
    stdin.on('error', () => undefined); // typed at a machine that has ended
    this.#qmp = new QmpClient(qmp, (event) => this.#notice(event));
    this.ended = once(this.#child, 'close').then(
      () => (this.#wasReset ? 'reset' : 'off'),
      (error: unknown) => {
        log.write(`machine: QEMU cannot be run: ${messageOf(error)}\n`);
        return 'off';
      },
    );
  }

  /** @throws OperationFailedError when QEMU does not come up or its network cannot be plugged in; nothing is left then but the log, open. */
  static async start(args: readonly string[], { log, bridge, taps }: VirtualSystemOptions): Promise<VirtualSystem> {
    const system = new VirtualSystem(args, log);
    try {
      await system.#qmp.execute('qmp_capabilities');
      if (bridge !== null) for (const tap of taps) await runProgram('ip', ['link', 'set', 'dev', tap, 'up', 'master', bridge], { timeoutMs: IP_TIMEOUT_MS });
      await system.#qmp.execute('cont');
      return system;
    } catch (error) {
      await system.#kill();
      throw new OperationFailedError(`The virtual machine was not started: ${messageOf(error)}; its log ${log.path} may say more`, {}, error);
    }
  }

  /** Presses the power button. */
  async shutDown(): Promise<void> {
    await this.#qmp.execute('system_powerdown');
  }

  async cutPower(): Promise<void> {
    try {
      await this.#kill();
    } finally {
      await this.#log.close();
    }
  }

  typeLine(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  #notice({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') this.#wasReset = RESETS.includes(data?.['reason']);
  }

  async #kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    const patience = new AbortController();
    const late = pause(KILL_TIMEOUT_MS, 'late' as const, { signal: patience.signal }).catch(() => undefined); // it has ended
    const outcome = await Promise.race([this.ended, late]);
    patience.abort();
    if (outcome === 'late') throw new OperationFailedError(`QEMU (process ${this.#child.pid}) did not end within ${KILL_TIMEOUT_MS / 1_000} s of SIGKILL`);
  }
}
