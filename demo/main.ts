import { performance } from 'node:perf_hooks';
import { messageOf, OperationFailedError } from '../protocol/errors.ts';
import { SYSTEM_PATH } from '../protocol/program.ts';
import { CleanUp } from './clean-up.ts';
import { makeWorkDirectory, removeWorkDirectory, runDemo, stepsOf, type DemoResult } from './demo.ts';
import { findLeftovers } from './leftovers.ts';
import { EXIT, readOptions, UsageError, type DemoOptions } from './options.ts';
import { findMissing } from './requirements.ts';
import { simulatedServer } from './simulated-server.ts';
import { StepReport } from './step-report.ts';
import { summarize } from './summary.ts';
import { virtualServer } from './virtual-server.ts';

class Interrupted extends Error {}

async function main(): Promise<number> {
  const options = await readOptions(process.argv, process.env);
  process.env['PATH'] = SYSTEM_PATH; // a root shell made by a plain "su" lacks the sbin directories
  const missing = await findMissing({ virtual: options.vm !== null });
  if (missing.length > 0) {
    process.stderr.write(`${missing.map((sentence) => `demo: ${sentence}`).join('\n')}\n`);
    return EXIT.missing;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) return;
      process.stderr.write('\ndemo: stopping, and removing everything …\n');
      stop.abort(new Interrupted(`stopped by ${name}`));
    });
  }
  const startedAt = performance.now();
  const result = await run(options, stop);
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `\n${summarize(result, (performance.now() - startedAt) / 1_000, options.keep)}\n`);
  return EXIT.ok;
}

/** The demo with its clean-up on every path, and the look for what is left. */
async function run(options: DemoOptions, stop: AbortController): Promise<DemoResult> {
  const server = options.vm === null ? simulatedServer(options) : virtualServer({ sizeBytes: options.sizeBytes, ...options.vm });
  const report = new StepReport(stepsOf(server));
  report.say(`Metalshot: a snapshot of ${server.description}, from its disk to a proven image and back\n`);
  const workDirectory = await makeWorkDirectory();
  const cleanUp = new CleanUp();
  if (!options.keep) cleanUp.add('work directory', () => removeWorkDirectory(workDirectory));
  let result: DemoResult | undefined;
  let failure: Error | undefined;
  try {
    result = await runDemo({ workDirectory, server, options, report, cleanUp, stop });
  } catch (error) {
    failure = asError(stop.signal.aborted ? stop.signal.reason : error); // what follows an interruption says less than it
  }
  const problems = await report.step('Remove everything again', () => endRun(cleanUp, workDirectory, options), (found) => (found.length === 0 ? 'no process, mount, loop device or file is left' : `${found.length} left`));
  if (options.keep) report.say(`\nKept: ${workDirectory} (disk.img, image.qcow2, logs)`);
  if (failure !== undefined) {
    for (const problem of problems) report.say(`demo: ${problem}`);
    if (!options.keep && !(failure instanceof Interrupted)) report.say('demo: run it with --keep to keep the logs.');
    throw failure;
  }
  if (result === undefined || problems.length > 0) throw new OperationFailedError(`The snapshot is proven, but not everything could be removed: ${problems.join('; ')}`);
  return result;
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

async function endRun(cleanUp: CleanUp, workDirectory: string, { keep }: DemoOptions): Promise<string[]> {
  const problems = await cleanUp.run();
  const leftovers = await findLeftovers(workDirectory, { kept: keep });
  return [...problems, ...leftovers.map((leftover) => `left behind: ${leftover}`)];
}

main().then(
  (exitCode) => (process.exitCode = exitCode),
  (error: unknown) => {
    process.stderr.write(`demo: ${messageOf(error)}\n`);
    process.exitCode = error instanceof Interrupted ? EXIT.interrupted : error instanceof UsageError ? EXIT.usage : EXIT.failed;
  },
);
