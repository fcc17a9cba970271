import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const KEPT_OUTPUT_CHARACTERS = 16_384;
const FIRST_LINES = 15;
const LAST_LINES = 30;
const STILL_AT_IT_MS = 30_000;

/** Set-up speaks on standard error only: standard output belongs to the program that is started after it. */
export const say = (text) => process.stderr.write(`set-up: ${text}\n`);

/** A command that did not do its work, with the end of what it printed. */
export class CommandFailure extends Error {
  constructor(message, output) {
    const lines = output.split('\n').filter((line) => line.trim() !== '');
    // Some say what is wrong first and explain their own options after (npm), others end with it (apt, compilers).
    const shown = lines.length <= FIRST_LINES + LAST_LINES ? lines : [...lines.slice(0, FIRST_LINES), '…', ...lines.slice(-LAST_LINES)];
    super([message, ...shown.map((line) => `  | ${line}`)].join('\n'));
    this.output = output;
  }
}

const running = new Set();
let stopSignal;

/** On a signal the running command gets it too and ends with a failure, so that every `finally` is run; with none running, it is simply the end. */
export function forwardSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      stopSignal ??= signal;
      if (running.size === 0) process.exit(128 + constants.signals[signal]);
      for (const child of running) child.kill(signal);
    });
  }
}

/**
 * Runs a command to its end without showing its output; says every 30 s that it is still at it.
 * @throws CommandFailure with the end of the output when it fails, is stopped, or takes longer than `timeoutMs`.
 */
export function runQuietly(command, args, { what, timeoutMs, env = {}, cwd }) {
  return new Promise((resolve, reject) => {
    if (stopSignal) return reject(new CommandFailure(`${what} was not begun: stopped by ${stopSignal}`, ''));
    const startedAt = performance.now();
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    const keep = (text) => (output = (output + text).slice(-KEPT_OUTPUT_CHARACTERS));
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const pulse = setInterval(() => say(`${what}: still at it (${Math.round((performance.now() - startedAt) / 1_000)} s)`), STILL_AT_IT_MS);
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      child.kill('SIGTERM');
    }, timeoutMs);
    const release = () => {
      clearInterval(pulse);
      clearTimeout(deadline);
      running.delete(child);
    };
    child.on('error', (error) => {
      release();
      reject(new CommandFailure(`${what}: cannot run ${command}: ${error.message}`, output));
    });
    child.on('close', (exitCode, signal) => {
      release();
      const line = [command, ...args].join(' ');
      if (stopSignal) reject(new CommandFailure(`${what} was stopped by ${stopSignal}`, output));
      else if (late) reject(new CommandFailure(`${what} did not end within ${timeoutMs / 60_000} min: ${line}`, output));
      else if (exitCode !== 0) reject(new CommandFailure(`${what} failed (${signal ?? `exit code ${exitCode}`}): ${line}`, output));
      else resolve(output);
    });
  });
}
