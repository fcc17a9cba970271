#!/usr/bin/env node
/**
 * `test.mjs [--system [--all]] [jest arguments…]`: lint, types, then the tests; all of them even when an earlier one fails.
 * With jest arguments only jest runs, with these. The last line is `N passed, N failed`; lint and type check count as a test each.
 *
 * `--system` adds the tests that boot machines, in a network namespace of their own, and builds the ramdisk that they boot;
 * `--all` takes every case of theirs instead of the chosen few.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runJest, runShown } from './jest-run.mjs';
import { RUN_DIRECTORY_PREFIX, RUN_VARIABLE, findLeftovers, hasMountBelow, listRunProcesses, lookAround } from './leftovers.mjs';
import { ownNetwork } from './own-network.mjs';
import { Tally } from './test-tally.mjs';

const TOTAL_DEADLINE_MS = 80 * 60_000;
/** The full matrix boots machines for hours. */
const FULL_MATRIX_DEADLINE_MS = 6 * 60 * 60_000;
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Suites that mount and attach run one file at a time; beside them the machines boot, each of the two having a processor of its own. */
const GROUPS = [
  { name: 'unit-and-contract', suites: ['unit', 'contract'], jestArgs: ['--maxWorkers=2'] },
  { name: 'integration-and-model', suites: ['integration', 'model'], jestArgs: ['--runInBand'] },
];
const SYSTEM_GROUP = { name: 'system', suites: ['system'], jestArgs: ['--runInBand'] };
/** test/rig/ramdisk-directory.ts looks there. */
const RAMDISK_DIRECTORY = 'node_modules/.cache/metalshot-ramdisk';

async function runEverything(tally, groups, options) {
  tally.addCheck('lint', (await runShown(['node_modules/eslint/bin/eslint.js', '.', '--max-warnings=0'], options)) === undefined);
  tally.addCheck('type check', (await runShown(['node_modules/typescript/bin/tsc', '--noEmit'], options)) === undefined);
  const run = async ({ name, suites, jestArgs }) => {
    const directories = suites.map((suite) => join(ROOT, 'test', suite)).filter(hasTests);
    const args = [...jestArgs, ...directories.map((directory) => `${escapePattern(directory)}/`)];
    if (name === SYSTEM_GROUP.name) await runSystem(tally, args, directories, options);
    else if (directories.length > 0) await runJest(tally, name, args, options);
  };
  const [first, ...others] = groups;
  await run(first);
  await Promise.all(others.map(run));
}

async function runSystem(tally, args, directories, options) {
  if (directories.length === 0) tally.fail('test/system holds no tests');
  else if (await buildRamdisk(tally, options)) await runJest(tally, SYSTEM_GROUP.name, [...args, ...systemArgs(options)], { ...options, command: options.network.command });
}

/** What jest tells the tests that boot machines (test/rig/run-options.ts). */
const systemArgs = ({ network, fullMatrix }) => ['--globals', JSON.stringify({ systemRun: { hostNetwork: network.host, fullMatrix } })];

/** Machines cannot be booted without root, nor from a ramdisk that was not built. */
async function buildRamdisk(tally, options) {
  if (process.getuid() !== 0) return true; // the tests are skipped, with the reason
  const problem = await runShown(['dist/ramdisk-agent/image/main.js', '--variant', 'cloud', '--output', RAMDISK_DIRECTORY], options);
  tally.addCheck('building the ramdisk', problem === undefined);
  return problem === undefined;
}

const hasTests = (directory) => existsSync(directory) && readdirSync(directory, { recursive: true }).some((path) => path.endsWith('.test.ts'));
const escapePattern = (text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

async function main(args) {
  const [system, fullMatrix] = [args.includes('--system'), args.includes('--all')];
  const jestArgs = args.filter((argument) => argument !== '--system' && argument !== '--all');
  const tally = new Tally();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop.abort());
  const runDirectory = mkdtempSync(join(tmpdir(), RUN_DIRECTORY_PREFIX)); // with nothing in it at the end
  chmodSync(runDirectory, 0o755); // as /tmp is: davfs2 looks at its files as another user
  const reportDirectory = mkdtempSync(join(tmpdir(), 'metalshot-report-'));
  const before = lookAround();
  const env = { ...process.env, TMPDIR: runDirectory, [RUN_VARIABLE]: runDirectory };
  const network = system ? ownNetwork() : undefined;
  const deadlineAt = performance.now() + (fullMatrix ? FULL_MATRIX_DEADLINE_MS : TOTAL_DEADLINE_MS);
  const options = { root: ROOT, env, deadlineAt, signal: stop.signal, reportDirectory, network, fullMatrix };
  try {
    if (jestArgs.length > 0 && system) await runSystem(tally, ['--runInBand', ...jestArgs], jestArgs, { ...options, selected: true });
    else if (jestArgs.length > 0) await runJest(tally, 'selected', ['--runInBand', ...jestArgs], { ...options, selected: true });
    else await runEverything(tally, system ? [...GROUPS, SYSTEM_GROUP] : GROUPS, options);
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
