import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { endedChildren, ProcessWatch } from './process-watch.mjs';

/** Runs a program to its end. @returns what it printed. @throws Error with its own words. */
export async function run(command, args) {
  return finished(spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }), command);
}

/** Runs programs, one list of them after the other, the lists at once; what all of them took together. */
export async function measureCommands(lists) {
  const running = new Set();
  const watch = new ProcessWatch({ program: () => [...running] }).start();
  const [before, startedAt] = [endedChildren(), performance.now()];
  let peakBytes = 0;
  let wallS = 0;
  try {
    await Promise.all(lists.map((list) => runInTurn(list, running)));
    wallS = (performance.now() - startedAt) / 1000;
  } finally {
    ({ peakBytes } = watch.stop().program);
  }
  const after = endedChildren();
  return { wallS, ends: { program: { cpuS: after.cpuS - before.cpuS, readBytes: after.readBytes - before.readBytes, writtenBytes: after.writtenBytes - before.writtenBytes, peakBytes } } };
}

async function runInTurn(list, running) {
  for (const [command, ...args] of list) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) running.add(child.pid);
    await finished(child, command);
    running.delete(child.pid);
  }
}

async function finished(child, command) {
  const ended = new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
  const [exitCode, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (exitCode !== 0) throw new Error(`${command} has ended with ${exitCode ?? child.signalCode}: ${stderr.trim()}`);
  return stdout;
}
