import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runProgram } from '../../../protocol/program.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const TIMEOUT_MS = 180_000;

interface Row {
  figure: string;
  unit: string;
  metalshot: number;
  aim?: string;
  reached?: boolean;
}
interface Report {
  options: { rounds: number; nodes: number; ironic: boolean };
  summary: Row[];
  measured: { starts: unknown[]; memory: unknown[]; rounds: { scenario: string; server: string; count: number; cpuMs: number; wallMs: number }[] };
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-bench-test-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** With so few requests the figures mean nothing: what is looked at is that every scenario ran and was reported. */
describe('the benchmark of the API', () => {
  test('runs every scenario, prints a table and writes all figures', async () => {
    const file = join(directory, 'report.json');
    const { stdout } = await runProgram(process.execPath, ['scripts/bench.mjs', 'api', '--no-ironic', '--rounds', '1', '--nodes', '12', '--share', '0.01', '--json', file], { cwd: ROOT, timeoutMs: TIMEOUT_MS });
    const report = JSON.parse(await readFile(file, 'utf8')) as Report;
    expect(report.options).toMatchObject({ rounds: 1, nodes: 12, ironic: false });
    const scenarios = ['list of nodes', 'list of nodes, all fields', 'one node', 'create', 'heartbeat, 8 at once', 'fake deployment: available, active, available', 'fake snapshot: active, snapshot wait, active'];
    expect(report.measured.rounds.map(({ scenario }) => scenario)).toEqual(scenarios);
    for (const round of report.measured.rounds) {
      expect(round).toMatchObject({ server: 'metalshot', count: expect.any(Number), cpuMs: expect.any(Number) });
      expect(round.wallMs).toBeGreaterThan(0);
    }
    expect(report.summary.map(({ figure }) => figure)).toEqual([...scenarios.flatMap((scenario) => [`${scenario}: CPU`, `${scenario}: wall`]), 'cold start', 'RSS, idle', 'RSS, 12 nodes, after a round of all this']);
    for (const { figure, metalshot } of report.summary) {
      expect(Number.isFinite(metalshot)).toBe(true);
      expect(stdout).toContain(figure);
    }
  }, TIMEOUT_MS);

  test('refuses wrong arguments with its usage', async () => {
    const run = runProgram(process.execPath, ['scripts/bench.mjs', 'api', '--rounds', 'many'], { cwd: ROOT, timeoutMs: TIMEOUT_MS });
    await expect(run).rejects.toThrow(/--rounds: expected a positive number, found many/);
  }, TIMEOUT_MS);
});
