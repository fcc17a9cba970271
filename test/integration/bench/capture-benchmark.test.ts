import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findLeftovers } from '../../../demo/leftovers.ts';
import { runProgram } from '../../../protocol/program.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const TIMEOUT_MS = 600_000;

interface End {
  cpuS: number;
  readBytes: number;
  writtenBytes: number;
  peakBytes: number;
}
interface Report {
  options: { rounds: number; fileSystem: string; machines: number[]; glance: boolean };
  summary: { row: string; machines: number; wallS: number; cpuS: number; bytesPerS: number; wallRatio: number; cpuRatio: number }[];
  verdicts: { aim: string; found: number; limit: number; reached: boolean; boundBy: string }[];
  measured: { disk: { parts: string[] }; rounds: { row: string; machines: number; wallS: number; imageBytes: number; downtimeS?: number; ends: Record<string, End> }[]; large: { wallS: number; ends: Record<string, End> } };
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-bench-test-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const ALONE = ['qemu-img convert', 'davfs2 mount', 'stream to null', 'stream to spool', 'stream to spool, TLS', 'relay to embedded', 'relay to Glance', 'upload alone, embedded', 'upload alone, Glance', 'reading alone, dd', 'proof alone, AES-256-GMAC', 'digest alone, sha512', 'digest alone, sha256', 'loopback TCP alone', 'writing alone, dd'];
const AT_ONCE = ['qemu-img convert', 'stream to spool', 'relay to embedded'];

/** With so little on the disk the figures mean nothing: what is looked at is that every row ran and was reported. */
describe('the benchmark of captures', () => {
  test('runs every row, of several machines at once too, judges the aims, and leaves nothing behind', async () => {
    const file = join(directory, 'report.json');
    const args = ['capture', '--rounds', '1', '--share', '0.02', '--machines', '2', '--work-directory', directory, '--json', file];
    const { stdout } = await runProgram(process.execPath, ['scripts/bench.mjs', ...args], { cwd: ROOT, timeoutMs: TIMEOUT_MS });
    const report = JSON.parse(await readFile(file, 'utf8')) as Report;
    expect(report.options).toEqual({ rounds: 1, share: 0.02, fileSystem: 'ext4', machines: [1, 2], glance: true });
    expect(report.measured.disk.parts.join()).toMatch(/ext4, clean, .* mapped/);
    expect(report.measured.rounds.map(({ row, machines }) => `${machines} ${row}`)).toEqual([...ALONE.map((row) => `1 ${row}`), ...AT_ONCE.map((row) => `2 ${row}`)]);
    for (const { row, wallS, imageBytes, downtimeS, ends } of report.measured.rounds) {
      expect({ row, wallS: wallS > 0, imageBytes: imageBytes > 10e6 }).toEqual({ row, wallS: true, imageBytes: true });
      expect({ row, figures: Object.values(ends).every((end) => [end.cpuS, end.readBytes, end.writtenBytes, end.peakBytes].every(Number.isFinite)) }).toEqual({ row, figures: true });
      const { agent, conductor } = ends;
      const capture = agent && conductor ? [agent, conductor] : [];
      for (const { cpuS, peakBytes, readBytes, writtenBytes } of capture) expect([row, cpuS > 0, peakBytes > 10e6, readBytes + writtenBytes > imageBytes / 2]).toEqual([row, true, true, true]);
      if (capture.length > 0) expect(downtimeS).toBeGreaterThan(0);
    }
    expect(report.summary).toHaveLength(ALONE.length + AT_ONCE.length);
    for (const { row, wallRatio, cpuRatio, bytesPerS } of report.summary) {
      expect([row, wallRatio, cpuRatio, bytesPerS].slice(1).every(Number.isFinite)).toBe(true);
      expect(stdout).toContain(row);
    }
    expect(report.measured.large.ends['agent']?.peakBytes).toBeGreaterThan(10e6);
    expect(report.verdicts).toHaveLength(15);
    for (const { aim, found } of report.verdicts) {
      expect({ aim, found: Number.isFinite(found) && found > 0 }).toEqual({ aim, found: true });
      expect(stdout).toContain(aim);
    }
    await rm(file);
    expect(await findLeftovers(directory, { kept: true })).toEqual([]);
  }, TIMEOUT_MS);

  test('refuses wrong arguments with its usage', async () => {
    const run = runProgram(process.execPath, ['scripts/bench.mjs', 'capture', '--file-system', 'fat'], { cwd: ROOT, timeoutMs: TIMEOUT_MS });
    await expect(run).rejects.toThrow(/--file-system: expected ext4 or xfs, found fat/);
  }, TIMEOUT_MS);
});
