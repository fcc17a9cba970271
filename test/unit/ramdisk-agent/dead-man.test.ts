import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '../../../protocol/log.ts';
import { BootMemory, identifyBoot } from '../../../ramdisk-agent/boot-memory.ts';
import type { CommandUnderWay } from '../../../ramdisk-agent/commands/command-queue.ts';
import { DeadMan } from '../../../ramdisk-agent/dead-man.ts';
import { RunDirectory } from '../../../ramdisk-agent/run-directory.ts';
import { until } from '../../rig/until.ts';

const SILENCE_S = 900;
const IDLE_S = 1_800;

let directory: string;
let nowS: number;
let command: CommandUnderWay | null;
let reasons: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-dead-man-'));
  nowS = 50;
  command = null;
  reasons = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Its clock is the test's, or with null its own. */
const arm = (boot = 'boot', clock: (() => number) | null = () => nowS): DeadMan =>
  new DeadMan({
    limits: { conductor_silence_timeout_s: SILENCE_S, idle_timeout_s: IDLE_S },
    memory: new BootMemory(new RunDirectory(directory), boot),
    log: createLogger('agent', 'silent'),
    command: () => command,
    onDead: (reason) => reasons.push(reason),
    nowS: clock ?? undefined,
  });

/** Lets time pass as the timer sees it; with `heard`, the conductor takes a heartbeat every minute. */
function pass(deadMan: DeadMan, seconds: number, heard = false): void {
  for (const end = nowS + seconds; nowS < end; nowS += 10) {
    if (heard && nowS % 60 < 10) deadMan.hearConductor();
    deadMan.check();
  }
}

describe('a machine leaves the ramdisk', () => {
  test('when the conductor has never answered', () => {
    const deadMan = arm();
    pass(deadMan, SILENCE_S);
    expect(reasons).toEqual([]);
    pass(deadMan, 20);
    expect(reasons).toEqual(['the conductor has taken no lookup or heartbeat for 900 s']);
  });

  test('when the conductor falls silent, also while a command is under way: what that moves may be local', () => {
    const deadMan = arm();
    pass(deadMan, 3_000, true);
    expect(reasons.length).toBe(1); // idle
    const other = arm('other boot');
    command = { name: 'snapshot.stream_image', overForMs: null };
    pass(other, 5_000, true);
    expect(reasons.length).toBe(1);
    pass(other, SILENCE_S + 60);
    expect(reasons[1]).toMatch('no lookup or heartbeat');
  });

  test('when nothing is commanded, counted from the lookup and from the end of each command', () => {
    const deadMan = arm();
    pass(deadMan, 600);
    pass(deadMan, IDLE_S - 60, true);
    command = { name: 'deploy.write_image', overForMs: null };
    pass(deadMan, 10 * IDLE_S, true);
    command = null;
    pass(deadMan, IDLE_S - 60, true);
    expect(reasons).toEqual([]);
    pass(deadMan, 120, true);
    expect(reasons).toEqual(['no command has been under way for 1800 s']);
  });

  test('when a command does not end after its own limits or after it was stopped', () => {
    const deadMan = arm();
    command = { name: 'snapshot.stream_image', overForMs: 59_000 };
    deadMan.check();
    expect(reasons).toEqual([]);
    command = { name: 'snapshot.stream_image', overForMs: 61_000 };
    deadMan.check();
    expect(reasons).toEqual(['snapshot.stream_image has not ended 60 s after its own limits were over, or after it was stopped']);
  });

  test('once: the reason is told one time', () => {
    const deadMan = arm();
    pass(deadMan, 10 * SILENCE_S);
    expect(reasons).toHaveLength(1);
  });

  test('although its agent dies again and again: the next one counts on', () => {
    for (let restarts = 0; restarts < 9; restarts += 1) pass(arm(), 100);
    expect(reasons).toEqual([]);
    arm().check();
    pass(arm(), 20);
    expect(reasons).toEqual(['the conductor has taken no lookup or heartbeat for 900 s']);
  });

  test('although its agent dies again and again and is taken by the conductor each time', () => {
    for (let restarts = 0; restarts < 17; restarts += 1) pass(arm(), 100, true);
    expect(reasons).toEqual([]);
    pass(arm(), 300, true);
    expect(reasons).toEqual(['no command has been under way for 1800 s']);
  });

  test('not because of what was in an earlier boot', () => {
    pass(arm('earlier boot'), SILENCE_S);
    pass(arm('boot'), SILENCE_S);
    expect(reasons).toEqual([]);
  });

  test('by the clock of the system, which no process starts anew', async () => {
    nowS = Number(process.hrtime.bigint() / 1_000_000_000n) - SILENCE_S;
    const earlier = arm();
    earlier.check();
    const deadMan = arm('boot', null);
    deadMan.start();
    try {
      await until('the machine leaves', () => reasons.length > 0);
    } finally {
      deadMan.stop();
    }
    expect(reasons[0]).toMatch('no lookup or heartbeat');
  });
});

test('a boot is known by its kernel, its first process and its nonce', () => {
  expect(identifyBoot()).toBe(identifyBoot());
  expect(identifyBoot('nonce-one')).not.toBe(identifyBoot('nonce-two'));
  expect(identifyBoot('nonce-one')).not.toContain('nonce-one');
});
