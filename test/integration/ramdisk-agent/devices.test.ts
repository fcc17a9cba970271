import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { DIST } from '../../rig/dist.ts';
import { until } from '../../rig/until.ts';
import { AgentStage } from './agent-stage.ts';
import { LoopDisk } from './loop-disk.ts';

jest.setTimeout(120_000);

const MAIN = join(DIST, 'ramdisk-agent/main.js');

let directory: string;
let disk: LoopDisk;
let stage: AgentStage | undefined;
let traced: ChildProcess | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-devices-'));
  disk = await LoopDisk.create(directory, 1024 ** 2);
});
afterAll(async () => {
  await disk?.detach();
  await rm(directory, { recursive: true, force: true });
});
afterEach(async () => {
  if (traced && traced.exitCode === null) {
    traced.kill('SIGTERM');
    await once(traced, 'close');
  }
  traced = undefined;
  await stage?.close();
  stage = undefined;
});

/** The agent with every file that it or a program of it opens recorded; `-D` makes it, and not strace, our child. */
function startTraced(config: string, record: string): { ended: Promise<[number | null]>; said: () => string } {
  const child = spawn('strace', ['-D', '-f', '-y', '-qq', '-e', 'trace=open,openat,openat2', '-o', record, process.execPath, MAIN, '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  traced = child;
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (more: string) => (text += more));
  return { ended: once(child, 'close') as Promise<[number | null]>, said: () => text };
}

/** Block devices among the files that were opened; the trace is complete once its last process has left. */
async function openedDevices(record: string): Promise<string[]> {
  const trace = await readFile(record, 'utf8');
  const opened = new Set([...trace.matchAll(/ = \d+<([^>]+)>/g)].map((match) => match[1]!));
  expect(opened.size).toBeGreaterThan(100); // the trace has seen something
  const blockDevices: string[] = [];
  for (const path of opened) {
    const stats = await stat(path).catch(() => null); // gone by now: no device of this host
    if (stats?.isBlockDevice()) blockDevices.push(path);
  }
  return blockDevices;
}

describe('disks of the host', () => {
  test('are never opened by an agent with an explicit list: from its start through a whole capture it opens that device only', async () => {
    stage = await AgentStage.start({ device: disk.device });
    const { agent, conductor } = stage;
    await agent.stop();
    const heartbeats = conductor.heartbeats.length;
    const record = join(directory, 'capture.trace');
    const { ended, said } = startTraced(join(stage.directory, 'agent.json'), record);
    await until('the traced agent is there', () => conductor.heartbeats.length > heartbeats, 60_000, said);
    expect(await stage.ended(await stage.capture())).toMatchObject({ command_status: 'SUCCEEDED' });
    traced!.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(await openedDevices(record)).toEqual([disk.device]);
  });

  test('are not looked at without a list outside the ramdisk: the agent does not start, and opens none', async () => {
    const config = join(directory, 'no-devices.json');
    await writeFile(config, JSON.stringify({ api_url: 'http://127.0.0.1:1', addresses: ['52:54:00:12:34:56'], run_directory: join(directory, 'run') }));
    const record = join(directory, 'refusal.trace');
    const { ended, said } = startTraced(config, record);
    expect(await ended).toEqual([1, null]);
    expect(said()).toContain('this is not the Metalshot ramdisk');
    expect(await openedDevices(record)).toEqual([]);
  });
});
