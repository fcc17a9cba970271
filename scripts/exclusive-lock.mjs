import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CommandFailure, say } from './quiet-command.mjs';

const PATIENCE_MS = 2_000;

/**
 * Does `work` while no other set-up that names the same lock file does its own; waits for its turn. The kernel's lock (flock
 * of util-linux, which every Debian has) is let go of when its holder ends in whatever way, so there are no stale ones.
 */
export async function withLock(file, work) {
  // cat ends, and the lock with it, when the other end of its standard input is closed: by us, or by our death. Detached,
  // because a Ctrl-C at the terminal must not take the lock from a set-up that is still clearing up.
  const holder = spawn('flock', ['--exclusive', file, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  holder.stdin.on('error', () => undefined); // flock has ended early: its exit code tells
  const ended = once(holder, 'close').then(
    ([exitCode]) => `ended with exit code ${exitCode}`,
    (error) => `cannot be run (${error.message}); it is part of Debian's util-linux`,
  );
  const waiting = setTimeout(() => say(`another set-up is at work here; waiting for it (lock ${file})`), PATIENCE_MS);
  try {
    holder.stdin.write('locked');
    const problem = await Promise.race([once(holder.stdout, 'data').then(() => ''), ended]);
    clearTimeout(waiting);
    if (problem) throw new CommandFailure(`cannot lock ${file}: flock ${problem}`, '');
    return await work();
  } finally {
    clearTimeout(waiting);
    holder.stdin.end();
    await ended;
  }
}
