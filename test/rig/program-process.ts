import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from './until.ts';

export interface LogLine {
  msg?: string;
  [name: string]: unknown;
}

/** A program of ours as a child process, its JSON log lines kept. Ends with its test, by pid. */
export class ProgramProcess {
  readonly lines: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  #text = '';

  /** @param launcher what starts it, such as `nsenter`; it has to become the program. */
  constructor(name: string, script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, launcher: readonly string[] = []) {
    this.#name = name;
    const [command = '', ...first] = [...launcher, process.execPath];
    this.#child = spawn(command, [...first, script, ...args], { env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) if (stream) createInterface({ input: stream }).on('line', (line) => this.#take(line));
    this.#ended = new Promise((resolve) => this.#child.once('close', (code, signal) => resolve({ code, signal })));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} was not started`);
    return this.#child.pid;
  }
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
  /** Everything it printed, for the message of a failed test. */
  get text(): string {
    return this.#text;
  }

  /** The first log line that matches; from the beginning of the process on. */
  async line(description: string, matches: (line: LogLine) => boolean, timeoutMs = 20_000): Promise<LogLine> {
    return until(`${this.#name}: ${description}`, () => {
      const found = this.lines.find(matches);
      if (!found && !this.running) throw new Error(`${this.#name} ended before it said: ${description}\n${this.#text.slice(-4_000)}`);
      return found;
    }, timeoutMs, () => this.#text.slice(-4_000));
  }

  /** SIGTERM, then waits; a program that does not end within the time is killed and the test fails. */
  async stop(timeoutMs = 30_000): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    const { signal } = await this.#ended;
    clearTimeout(timer);
    if (signal === 'SIGKILL') throw new Error(`${this.#name} did not end on SIGTERM within ${timeoutMs} ms\n${this.#text.slice(-4_000)}`);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.#ended;
  }

  #take(line: string): void {
    this.#text = `${this.#text}${line}\n`.slice(-400_000);
    try {
      this.lines.push(JSON.parse(line) as LogLine);
    } catch {
      this.lines.push({ msg: line }); // not every line a program prints is a log line
    }
  }
}
