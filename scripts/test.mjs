#!/usr/bin/env node
/**
 * `test.mjs [--system] [jest arguments…]`: lint, types, then the tests; all of them even when an earlier one fails. With jest
 * arguments only jest runs, with these. The last line is `N passed, N failed`; lint and type check count as a test each.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runJest, runShown } from './jest-run.mjs';
import { RUN_DIRECTORY_PREFIX, RUN_VARIABLE, findLeftovers, hasMountBelow, listRunProcesses, lookAround } from './leftovers.mjs';
import { Tally } from './test-tally.mjs';

const TOTAL_DEADLINE_MS = 70 * 60_000;
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Suites that mount and attach run one file at a time. */
const GROUPS = [
  { name: 'unit-and-contract', suites: ['unit', 'contract'], jestArgs: ['--maxWorkers=2'] },
  { name: 'integration-and-model', suites: ['integration', 'model'], jestArgs: ['--runInBand'] },
];
const SYSTEM_GROUP = { name: 'system', suites: ['system'], jestArgs: ['--runInBand'] };

async function runEverything(tally, groups, options) {
  tally.addCheck('lint', (await runShown(['node_modules/eslint/bin/eslint.js', '.', '--max-warnings=0'], options)) === undefined);
  tally.addCheck('type check', (await runShown(['node_modules/typescript/bin/tsc', '--noEmit'], options)) === undefined);
  for (const { name, suites, jestArgs } of groups) {
    const directories = suites.map((suite) => join(ROOT, 'test', suite)).filter(hasTests);
    if (directories.length > 0) await runJest(tally, name, [...jestArgs, ...directories.map((directory) => `${escapePattern(directory)}/`)], options);
    else if (name === SYSTEM_GROUP.name) tally.fail('test/system holds no tests');
  }
}

const hasTests = (directory) => existsSync(directory) && readdirSync(directory, { recursive: true }).some((path) => path.endsWith('.test.ts'));
const escapePattern = (text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

async function main(args) {
  const jestArgs = args.filter((argument) => argument !== '--system');
  const tally = new Tally();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop.abort());
  const runDirectory = mkdtempSync(join(tmpdir(), RUN_DIRECTORY_PREFIX)); // with nothing in it at the end
  chmodSync(runDirectory, 0o755); // as /tmp is: davfs2 looks at its files as another user
  const reportDirectory = mkdtempSync(join(tmpdir(), 'metalshot-report-'));
  const before = lookAround();
  const env = { ...process.env, TMPDIR: runDirectory, [RUN_VARIABLE]: runDirectory };
  const options = { root: ROOT, env, deadlineAt: performance.now() + TOTAL_DEADLINE_MS, signal: stop.signal, reportDirectory };
  try {
    if (jestArgs.length > 0) await runJest(tally, 'selected', ['--runInBand', ...jestArgs], { ...options, selected: true });
    else await runEverything(tally, args.includes('--system') ? [...GROUPS, SYSTEM_GROUP] : GROUPS, options);
    for (const leftover of await findLeftovers(runDirectory, before)) tally.fail(`left behind: ${leftover}`);
  } finally {
    for (const id of listRunProcesses(runDirectory)) process.kill(id, 'SIGKILL');
    rmSync(reportDirectory, { recursive: true, force: true });
    if (!hasMountBelow(runDirectory)) rmSync(runDirectory, { recursive: true, force: true }); // never through a mount
  }
  if (tally.executedTests === 0) tally.fail('no test was run');
  report(tally);
}

function report(tally) {
  const show = (title, lines) => lines.length > 0 && console.log([`\n${title}`, ...lines.map((line) => `  - ${line}`)].join('\n'));
  show('Skipped:', tally.skips);
  show('Failed besides the tests shown above:', tally.problems);
  console.log(`\n${tally.closingLine()}`);
  process.exitCode = tally.failed > 0 ? 1 : 0;
}

await main(process.argv.slice(2));
