import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OperationFailedError } from '../../protocol/errors.ts';

/** A process for ever: a pid is used again, a pid together with its start time is not. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks after boot, field 22 of /proc/PID/stat (proc(5)). */
  startTicks: string;
}

const POLL_MS = 20;

/** The identity of a running process, or null when it has ended (a zombie has). */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const stat = readProcFile(pid, 'stat');
  if (stat === null) return null;
  // the command name stands in parentheses and may hold spaces and parentheses itself
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  return startTicks === undefined || state === 'Z' || state === 'X' ? null : { pid, startTicks };
}

/** Whether this very process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Sends SIGKILL if this very process still runs. */
export function killProcess(identity: ProcessIdentity): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ended in between: that is what was wanted
  }
}

/** Resolves when the process has ended. @throws OperationFailedError after the time, or the signal's reason. */
export async function waitForEnd(identity: ProcessIdentity, what: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (isRunning(identity)) {
    signal?.throwIfAborted();
    if (performance.now() > giveUpAt) throw new OperationFailedError(`${what} (pid ${identity.pid}) did not end within ${timeoutMs / 1_000} s`, { pid: identity.pid });
    await sleep(POLL_MS);
  }
}

/** Running processes of a program whose arguments hold `argument`, found by /proc/PID/cmdline. */
export function findProcesses(program: string, argument: string): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [command, ...args] = (readProcFile(pid, 'cmdline') ?? '').split('\0');
      return basename(command ?? '') === program && args.includes(argument);
    })
    .map(identifyProcess)
    .filter((identity) => identity !== null);
}

/** Bytes that a process has read and written so far by any system call that moves data (rchar and wchar of proc(5)); null once it has ended. */
export function readProcessTraffic(pid: number): { readBytes: number; writtenBytes: number } | null {
  const io = readProcFile(pid, 'io');
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(io ?? '')?.[1] ?? 0);
  return io === null ? null : { readBytes: field('rchar'), writtenBytes: field('wchar') };
}

function readProcFile(pid: number, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    // ENOENT before, ESRCH while reading: the process has ended
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}
