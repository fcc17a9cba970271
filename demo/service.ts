import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const SHOWN_LOG_LINES = 15;

export interface ServiceOptions<Ready> {
  name: string;
  args: readonly string[];
  /** Everything that it prints goes there. */
  logFile: string;
  env: NodeJS.ProcessEnv;
  /** Looks at each line that the service prints; anything but undefined means that it is ready. */
  readReady: (line: string) => Ready | undefined;
  /** Called when the service ends without having been asked to. */
  onUnexpectedEnd: (error: Error) => void;
  signal?: AbortSignal;
}

/** A long-lived program of ours, run by Node as a user would run it. */
export class Service<Ready> {
  readonly ready: Ready;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #log: WriteStream;
  readonly #ended: Promise<unknown>;
  readonly #expectEnd: () => void;

  private constructor(name: string, ready: Ready, running: RunningChild) {
    this.#name = name;
    this.ready = ready;
    this.#child = running.child;
    this.#log = running.log;
    this.#ended = running.ended;
    this.#expectEnd = running.expectEnd;
  }

  /** Resolves once the service says that it is ready. @throws OperationFailedError with the end of its log when it does not. */
  static async start<Ready>(options: ServiceOptions<Ready>): Promise<Service<Ready>> {
    options.signal?.throwIfAborted();
    const running = run(options);
    const patience = new AbortController();
    const deadline = pause(READY_TIMEOUT_MS, undefined, { signal: patience.signal }).then(
      () => ({ problem: `did not say that it is ready within ${READY_TIMEOUT_MS / 1_000} s` }),
      () => ({ problem: 'was not waited for' }), // ready, or ended before
    );
    const ended = running.ended.then(
      () => ({ problem: `ended with exit code ${running.child.exitCode ?? running.child.signalCode}` }),
      (error: unknown) => ({ problem: `could not be started: ${messageOf(error)}` }),
    );
    const stopped = new Promise<{ problem: string }>((resolve) => options.signal?.addEventListener('abort', () => resolve({ problem: 'was stopped' }), { once: true }));
    const outcome = await Promise.race([running.ready.then((ready) => ({ ready })), ended, deadline, stopped]);
    patience.abort();
    if ('ready' in outcome && !options.signal?.aborted) return new Service(options.name, outcome.ready, running);
    running.expectEnd();
    running.child.kill('SIGKILL'); // it serves nobody yet; what it may have started dies with it
    await ended;
    await new Promise((resolve) => running.log.end(resolve));
    options.signal?.throwIfAborted();
    const problem = 'problem' in outcome ? outcome.problem : 'was stopped';
    throw new OperationFailedError(`The ${options.name} ${problem}. Its log ends with:\n${await lastLines(options.logFile)}`);
  }

  /** SIGTERM, and the wait for its end. @throws OperationFailedError when it has to be killed or ends with another exit code than 0. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      this.#log.end(); // ended by itself, which has been told
      return;
    }
    this.#expectEnd();
    this.#child.kill('SIGTERM');
    const patience = new AbortController();
    const late = pause(STOP_TIMEOUT_MS, 'late', { signal: patience.signal }).catch(() => undefined); // ended in time
    const outcome = await Promise.race([this.#ended, late]);
    patience.abort();
    if (outcome === 'late') {
      this.#child.kill('SIGKILL');
      await this.#ended;
    }
    this.#log.end();
    if (outcome === 'late') throw new OperationFailedError(`The ${this.#name} did not end within ${STOP_TIMEOUT_MS / 1_000} s of SIGTERM and was killed`);
    if (this.#child.exitCode !== 0) throw new OperationFailedError(`The ${this.#name} ended with exit code ${this.#child.exitCode ?? this.#child.signalCode}`);
  }
}

interface RunningChild<Ready = unknown> {
  child: ChildProcess;
  log: WriteStream;
  ready: Promise<Ready>;
  ended: Promise<unknown>;
  expectEnd: () => void;
}

function run<Ready>({ name, args, logFile, env, readReady, onUnexpectedEnd }: ServiceOptions<Ready>): RunningChild<Ready> {
  const log = createWriteStream(logFile, { mode: 0o600 });
  // In a session of its own, so that Ctrl-C reaches the demo alone, which then ends everything in order; and ended by the
  // kernel should the demo itself be killed.
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', process.execPath, ...args], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let [isReady, expected] = [false, false];
  ended.then(
    () => {
      if (isReady && !expected) onUnexpectedEnd(new OperationFailedError(`The ${name} ended by itself with exit code ${child.exitCode ?? child.signalCode}`));
    },
    () => undefined, // start() reports it
  );
  const ready = new Promise<Ready>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        if (log.writable) log.write(`${line}\n`);
        const found = readReady(line);
        if (found === undefined) return;
        isReady = true;
        resolve(found);
      });
    }
  });
  return { child, log, ready, ended, expectEnd: () => void (expected = true) };
}

export async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '(nothing)'); // it never came to write one
  return text.trimEnd().split('\n').slice(-SHOWN_LOG_LINES).join('\n');
}
