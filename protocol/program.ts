import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { OperationFailedError } from './errors.ts';

export interface ProgramOptions {
  /** Milliseconds after which the program is killed (SIGTERM, then SIGKILL) and the call fails. Required: nothing runs for ever. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** Default: the environment of this process. */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Written to standard input, which is then closed. */
  input?: string;
  /** Called with every piece of standard output (progress); it is kept for the result as well, up to the limit. */
  onOutput?: (text: string) => void;
  /** Exit codes that are no failure. Default: 0 only. */
  acceptedExitCodes?: readonly number[];
  /** Called with the process id once it runs, for a record that outlives us. */
  onStart?: (pid: number) => void;
  /** File descriptors of ours that the program gets as 3, 4, … */
  inheritedFiles?: readonly number[];
}

export interface ProgramResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Where Debian keeps programs: for children that get an environment of their own, whatever the PATH of their parent leaves out. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Bytes of each output stream that are kept; the rest is read and dropped. */
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/** Between SIGTERM and SIGKILL. */
const KILL_GRACE_MS = 2_000;

/**
 * The one way to run an external program: an argument array (never a shell), a deadline, cancellation, captured output.
 * @throws OperationFailedError when it cannot be started, exits otherwise than accepted, times out or is cancelled;
 *   the end of standard error is in the message.
 */
export function runProgram(command: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const { timeoutMs, signal, acceptedExitCodes = [0] } = options;
  const data = { command, args };
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new OperationFailedError(`${command} was not started: the operation was stopped`, data, signal.reason));
      return;
    }
    // Node types a longer stdio array as "may have no pipes"; the first three here always are.
    const child = spawn(command, args, { env: options.env, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe', ...(options.inheritedFiles ?? [])] }) as ChildProcessWithoutNullStreams;
    if (child.pid !== undefined) options.onStart?.(child.pid);
    const stdout = new BoundedText();
    const stderr = new BoundedText();
    let stopReason: 'timeout' | 'aborted' | undefined;
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (reason: 'timeout' | 'aborted'): void => {
      stopReason ??= reason;
      child.kill('SIGTERM');
      killTimer ??= setTimeout(() => child.kill('SIGKILL'), KILL_GRACE_MS);
    };
    const deadline = setTimeout(() => stop('timeout'), timeoutMs);
    const onAbort = (): void => stop('aborted');
    signal?.addEventListener('abort', onAbort, { once: true });
    const release = (): void => {
      clearTimeout(deadline);
      clearTimeout(killTimer);
      signal?.removeEventListener('abort', onAbort);
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout.add(text);
      options.onOutput?.(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.add(text));
    child.stdin.on('error', () => undefined); // the program may end without reading its input: its exit code tells
    child.stdin.end(options.input ?? '');
    child.on('error', (error: NodeJS.ErrnoException) => {
      release();
      const hint = error.code === 'ENOENT' ? `${command} is not installed or not on the PATH` : error.message;
      reject(new OperationFailedError(`cannot run ${command}: ${hint}`, data, error));
    });
    child.on('close', (exitCode, killSignal) => {
      release();
      const said = stderr.text.trim().slice(-2_000);
      if (stopReason === 'timeout') reject(new OperationFailedError(`${command} did not end within ${timeoutMs / 1_000} s and was killed${said ? `: ${said}` : ''}`, data));
      else if (stopReason === 'aborted') reject(new OperationFailedError(`${command} was stopped on request`, data, signal?.reason));
      else if (exitCode === null) reject(new OperationFailedError(`${command} was killed by ${killSignal}${said ? `: ${said}` : ''}`, data));
      else if (!acceptedExitCodes.includes(exitCode)) reject(new OperationFailedError(`${command} failed with exit code ${exitCode}${said ? `: ${said}` : ''}`, { ...data, exitCode }));
      else resolve({ exitCode, stdout: stdout.text, stderr: stderr.text });
    });
  });
}

class BoundedText {
  text = '';
  add(more: string): void {
    if (this.text.length < OUTPUT_LIMIT_BYTES) this.text += more.slice(0, OUTPUT_LIMIT_BYTES - this.text.length);
  }
}
