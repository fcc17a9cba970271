#!/usr/bin/env node
/**
 * `bench.mjs api [--rounds N] [--nodes N] [--share S] [--dist DIRECTORY] [--no-ironic] [--json FILE]`: measures the admin API beside a
 * real Ironic, prints a table and writes JSON. docs/benchmarks.md says what the figures mean.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureApi } from '../test/bench/api-benchmark.mjs';
import { summarize, table } from '../test/bench/report.mjs';
import { hasIronic, ironic, metalshot } from '../test/bench/servers.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const USAGE = `usage: npm run bench -- api [options]
  --rounds N      rounds of every measurement; the medians are reported (default 5)
  --nodes N       nodes that both servers know (default 1000; at most as many, for they must fit one page)
  --share S       share of the requests in a round (default 1; below 1 for a look, not for figures)
  --dist DIR      the built programs to measure (default dist)
  --no-ironic     measure Metalshot alone
  --json FILE     write all measurements and the summary`;

function readArguments(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '5' }, nodes: { type: 'string', default: '1000' }, share: { type: 'string', default: '1' }, dist: { type: 'string', default: join(ROOT, 'dist') }, 'no-ironic': { type: 'boolean', default: false }, json: { type: 'string' } },
  });
  const [rounds, nodes, share] = [values.rounds, values.nodes, values.share].map(Number);
  if (positionals.length !== 1 || positionals[0] !== 'api') throw new RangeError(`expected the benchmark "api", found ${JSON.stringify(positionals.join(' '))}`);
  if (!(Number.isInteger(rounds) && rounds >= 1)) throw new RangeError(`--rounds: expected a positive number, found ${values.rounds}`);
  if (!(Number.isInteger(nodes) && nodes >= 4 && nodes <= 1000)) throw new RangeError(`--nodes: expected 4 to 1000, found ${values.nodes}`);
  if (!(share > 0 && share <= 1)) throw new RangeError(`--share: expected a number above 0 and up to 1, found ${values.share}`);
  return { rounds, nodes, share, dist: resolve(values.dist), withIronic: !values['no-ironic'], json: values.json };
}

async function main(args) {
  const options = readArguments(args);
  const compared = options.withIronic && hasIronic();
  if (options.withIronic && !compared) console.error('Ironic (Debian: ironic-api, ironic-conductor, ironic-common) is not installed: Metalshot is measured alone.');
  const say = process.stderr.isTTY ? (line) => process.stderr.write(`\r\u001b[K${line}`) : () => undefined;
  const measured = await measureApi([metalshot(options.dist), ...(compared ? [ironic()] : [])], { ...options, say });
  say('');
  const rows = summarize(measured);
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, memoryBytes: totalmem(), node: process.version, metalshot: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version };
  console.log(`${table(rows)}\n\nMedians of ${options.rounds} round(s), for one request or cycle each. ${machine.cpus} x ${machine.cpu}, Node ${machine.node}.`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ benchmark: 'api', at: new Date().toISOString(), machine, options: { rounds: options.rounds, nodes: options.nodes, share: options.share, ironic: compared }, summary: rows, measured }, null, 2)}\n`);
}

main(process.argv.slice(2)).catch((error) => {
  const usage = error instanceof RangeError || String(error.code).startsWith('ERR_PARSE_ARGS');
  console.error(usage ? `${error.message}\n${USAGE}` : error.stack);
  process.exitCode = usage ? 2 : 1;
});
