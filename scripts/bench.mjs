#!/usr/bin/env node
/**
 * `bench.mjs api|capture [options]`: measures the admin API beside a real Ironic, or captures beside `qemu-img convert`, prints a table and
 * writes JSON. docs/benchmarks.md says what the figures mean.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureApi } from '../test/bench/api-benchmark.mjs';
import { measureCaptures } from '../test/bench/capture/benchmark.mjs';
import { FILE_SYSTEMS } from '../test/bench/capture/disk.mjs';
import { hasGlance } from '../test/bench/capture/glance.mjs';
import { judge } from '../test/bench/capture/limits.mjs';
import { summarize as summarizeCaptures, table as captureTable, verdictTable } from '../test/bench/capture/report.mjs';
import { summarize, table } from '../test/bench/report.mjs';
import { hasIronic, ironic, metalshot } from '../test/bench/servers.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const USAGE = `usage: npm run bench -- api|capture [options]
  --rounds N      rounds of every measurement; the medians are reported (default 5)
  --share S       share of the requests in a round, or of what is on the disk (default 1; below 1 for a look, not for figures)
  --dist DIR      the built programs to measure (default dist)
  --json FILE     write all measurements and the summary
api:
  --nodes N       nodes that both servers know (default 1000; at most as many, for they must fit one page)
  --no-ironic     measure Metalshot alone
capture (as root):
  --file-system F ${FILE_SYSTEMS.join(' or ')} on the disk (default ${FILE_SYSTEMS[0]})
  --machines LIST how many machines are captured at once (default 1,4,8; 1 is always among them)
  --no-glance     leave the real Glance out
  --work-directory DIR  for disks and images: some 10 GB for one machine, 12 GB for each further one (default ${tmpdir()})`;

const BENCHMARKS = { api: runApi, capture: runCapture };
const OPTIONS = {
  rounds: { type: 'string', default: '5' },
  share: { type: 'string', default: '1' },
  dist: { type: 'string', default: join(ROOT, 'dist') },
  json: { type: 'string' },
};
const OWN_OPTIONS = {
  api: { nodes: { type: 'string', default: '1000' }, 'no-ironic': { type: 'boolean', default: false } },
  capture: { 'file-system': { type: 'string', default: FILE_SYSTEMS[0] }, machines: { type: 'string', default: '1,4,8' }, 'no-glance': { type: 'boolean', default: false }, 'work-directory': { type: 'string', default: tmpdir() } },
};

function readArguments([benchmark, ...args]) {
  if (!Object.hasOwn(BENCHMARKS, benchmark ?? '')) throw new RangeError(`expected one of the benchmarks ${Object.keys(BENCHMARKS).map((name) => `"${name}"`).join(', ')}, found ${JSON.stringify(benchmark ?? '')}`);
  const { values } = parseArgs({ args, options: { ...OPTIONS, ...OWN_OPTIONS[benchmark] } });
  const [rounds, share] = [values.rounds, values.share].map(Number);
  if (!(Number.isInteger(rounds) && rounds >= 1)) throw new RangeError(`--rounds: expected a positive number, found ${values.rounds}`);
  if (!(share > 0 && share <= 1)) throw new RangeError(`--share: expected a number above 0 and up to 1, found ${values.share}`);
  return { benchmark, values, rounds, share, dist: resolve(values.dist) };
}

async function runApi({ values, rounds, share, dist }, say) {
  const nodes = Number(values.nodes);
  if (!(Number.isInteger(nodes) && nodes >= 4 && nodes <= 1000)) throw new RangeError(`--nodes: expected 4 to 1000, found ${values.nodes}`);
  const compared = !values['no-ironic'] && hasIronic();
  if (!values['no-ironic'] && !compared) console.error('Ironic (Debian: ironic-api, ironic-conductor, ironic-common) is not installed: Metalshot is measured alone.');
  const measured = await measureApi([metalshot(dist), ...(compared ? [ironic()] : [])], { rounds, nodes, share, say });
  const summary = summarize(measured);
  return { text: `${table(summary)}\n\nMedians of ${rounds} round(s), for one request or cycle each.`, options: { rounds, nodes, share, ironic: compared }, summary, measured };
}

async function runCapture({ values, rounds, share, dist }, say) {
  const [fileSystem, machines] = [values['file-system'], [...new Set([1, ...values.machines.split(',').map(Number)])]];
  if (!FILE_SYSTEMS.includes(fileSystem)) throw new RangeError(`--file-system: expected ${FILE_SYSTEMS.join(' or ')}, found ${fileSystem}`);
  if (!machines.every((count) => Number.isInteger(count) && count >= 1 && count <= 64)) throw new RangeError(`--machines: expected numbers from 1 to 64 with commas between them, found ${values.machines}`);
  if (process.getuid() !== 0) throw new RangeError('capture: loop devices and mounts need root');
  const withGlance = !values['no-glance'] && hasGlance();
  if (!values['no-glance'] && !withGlance) console.error('Glance (Debian: glance-api, glance-common) is not installed: its rows are left out.');
  const measured = await measureCaptures({ rounds, share, fileSystem, machines, dist, withGlance, workDirectory: resolve(values['work-directory']), say });
  const summary = summarizeCaptures(measured);
  const verdicts = judge(summary, measured.large, cpus().length);
  const { disk, large } = measured;
  const text = `${captureTable(summary)}

${verdictTable(verdicts)}

Medians of ${rounds} round(s). Disk: ${(disk.sizeBytes / 1024 ** 3).toFixed(0)} GiB, ${disk.parts.join('; ')}. Cache: the disk's pages were dropped before each measurement, those of nothing else.
Agent and 64 GiB disk: ${(large.imageBytes / 1e6).toFixed(0)} MB of image in ${large.wallS.toFixed(1)} s. Relays and uploads to "embedded" have the image service within the conductor's process.`;
  return { text, options: { rounds, share, fileSystem, machines, glance: withGlance }, summary, verdicts, measured };
}

async function main(args) {
  const given = readArguments(args);
  const say = process.stderr.isTTY ? (line) => process.stderr.write(`\r\u001b[K${line}`) : () => undefined;
  const { text, ...report } = await BENCHMARKS[given.benchmark](given, say);
  say('');
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, memoryBytes: totalmem(), loadAverage: loadavg()[0], node: process.version, metalshot: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version };
  console.log(`${text} ${machine.cpus} x ${machine.cpu}, Node ${machine.node}, load ${machine.loadAverage.toFixed(1)} at the end.`);
  if (given.values.json !== undefined) writeFileSync(given.values.json, `${JSON.stringify({ benchmark: given.benchmark, at: new Date().toISOString(), machine, ...report }, null, 2)}\n`);
}

main(process.argv.slice(2)).catch((error) => {
  const usage = error instanceof RangeError || String(error.code).startsWith('ERR_PARSE_ARGS');
  console.error(usage ? `${error.message}\n${USAGE}` : error.stack);
  process.exitCode = usage ? 2 : 1;
});
