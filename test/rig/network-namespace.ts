import { spawn, type ChildProcess } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { runProgram, type ProgramOptions, type ProgramResult } from '../../protocol/program.ts';
import { until } from './until.ts';

const COMMAND_TIMEOUT_MS = 30_000;

/** A network namespace of a test's own: it is there as long as a process that sleeps in it. */
export class NetworkNamespace {
  readonly #holder: ChildProcess;
  /** What a command has to begin with to run in it. */
  readonly launcher: readonly string[];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.launcher = ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'];
  }

  static async open(): Promise<NetworkNamespace> {
    const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    const namespace = new NetworkNamespace(holder);
    try {
      await until('the network namespace is there', () => {
        if (holder.pid === undefined || holder.exitCode !== null) throw new Error('unshare has ended: it needs root and a kernel with network namespaces');
        return readlinkSync(`/proc/${holder.pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');
      });
      await namespace.run('ip', ['link', 'set', 'lo', 'up']);
    } catch (error) {
      await namespace.close();
      throw error;
    }
    return namespace;
  }

  get pid(): number {
    return this.#holder.pid!;
  }

  run(program: string, args: readonly string[], options: Partial<ProgramOptions> = {}): Promise<ProgramResult> {
    const [command = '', ...entry] = this.launcher;
    return runProgram(command, [...entry, program, ...args], { timeoutMs: COMMAND_TIMEOUT_MS, ...options });
  }

  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#holder.once('close', resolve));
    this.#holder.kill('SIGKILL');
    await ended;
  }
}
