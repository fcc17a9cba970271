import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Jest writes its report after the last test; a handle that a test has left open keeps it from ending. */
const EXIT_GRACE_MS = 30_000;
const LOOK_INTERVAL_MS = 500;

/**
 * Runs a program of the project by Node (or what `command` puts before Node) in a process group of its own with its output shown, until it ends, the deadline passes or
 * somebody stops it; then the whole group is gone. Resolves to a sentence about what went wrong, or undefined.
 */
export function runShown(args, { root, env, deadlineAt, signal, reportFile, command = [] }) {
  if (signal.aborted) return Promise.resolve('was not begun: stopped on request');
  return new Promise((resolve) => {
    const [program, ...programArgs] = [...command, process.execPath, ...args];
    const child = spawn(program, programArgs, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    let problem;
    let reportedAt;
    const kill = (why) => {
      problem ??= why;
      killGroup(child.pid);
    };
    const onStop = () => kill('stopped on request');
    signal.addEventListener('abort', onStop, { once: true });
    const watch = setInterval(() => {
      if (reportFile && existsSync(reportFile)) reportedAt ??= performance.now();
      if (performance.now() > deadlineAt) kill('the deadline of the whole run has passed');
      else if (reportedAt !== undefined && performance.now() - reportedAt > EXIT_GRACE_MS) kill(`jest has not ended ${EXIT_GRACE_MS / 1_000} s after its last test: a test has left a handle open (--detectOpenHandles names it)`);
    }, LOOK_INTERVAL_MS);
    const finish = (failure) => {
      clearInterval(watch);
      signal.removeEventListener('abort', onStop);
      killGroup(child.pid);
      resolve(problem ?? failure);
    };
    child.on('error', (error) => finish(`cannot be run: ${error.message}`));
    child.on('exit', (exitCode, killSignal) => finish(exitCode === 0 ? undefined : `ended with ${killSignal ?? `exit code ${exitCode}`}`));
  });
}

/** Runs jest; adds to the tally what its report says, and what kept it from reporting. */
export async function runJest(tally, name, jestArgs, { selected = false, ...options }) {
  const reportFile = join(options.reportDirectory, `${name}.json`);
  const args = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js', '--cacheDirectory', 'node_modules/.cache/jest', '--json', '--outputFile', reportFile, ...jestArgs];
  const problem = await runShown(args, { ...options, reportFile });
  const failedBefore = tally.failed;
  if (existsSync(reportFile)) tally.addJestReport(JSON.parse(readFileSync(reportFile, 'utf8')), { selected });
  if (problem !== undefined && tally.failed === failedBefore) tally.fail(`jest (${name}): ${problem}`);
}

function killGroup(groupId) {
  if (groupId === undefined) return;
  try {
    process.kill(-groupId, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // ESRCH: all of it has ended already
  }
}
