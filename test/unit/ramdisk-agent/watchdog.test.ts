import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '../../../protocol/log.ts';
import { Watchdog, type WatchdogOptions } from '../../../ramdisk-agent/watchdog.ts';
import { setWatchdogTimeout } from '../../../ramdisk-agent/watchdog-timeout.ts';
import { until } from '../../rig/until.ts';

/** Device files and a tree in the form of /sys/class/watchdog of kernels 6.1; what is written into a device can be read. */
let root: string;
let lines: { level: number; msg: string; problem?: string; device?: string; identity?: string; timeoutS?: number | null }[];
let watchdog: Watchdog | null;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'metalshot-watchdog-'));
  lines = [];
  watchdog = null;
});
afterEach(async () => {
  watchdog?.close();
  await rm(root, { recursive: true, force: true });
});

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}
async function provide(number: number, identity: string, timeoutS: number): Promise<void> {
  await put(`dev/watchdog${number}`, '');
  await put(`sys/watchdog${number}/identity`, `${identity}\n`);
  await put(`sys/watchdog${number}/timeout`, `${timeoutS}\n`);
}
const fed = async (name: string): Promise<string> => readFile(join(root, 'dev', name), 'utf8');
const open = async (options: Partial<WatchdogOptions> = {}): Promise<Watchdog | null> =>
  (watchdog = await Watchdog.open({ timeoutS: 120, log: createLogger('agent', 'info', '/dev/null', (line) => lines.push(JSON.parse(line) as (typeof lines)[number])), devices: join(root, 'dev'), sysfs: join(root, 'sys'), modules: join(root, 'module'), setTimeout: () => Promise.resolve(), ...options }));

describe('the watchdog', () => {
  test('is hardware where there is some, and is fed four times within its own timeout', async () => {
    await provide(0, 'Software Watchdog', 60);
    await provide(1, 'i6300ESB timer', 0.2);
    await open();
    expect(lines).toMatchObject([{ msg: 'watchdog is fed', device: join(root, 'dev/watchdog1'), timeoutS: 0.2 }]);
    await until('it is fed', async () => (await fed('watchdog1')).length >= 4);
    expect(await fed('watchdog0')).toBe('');
  });

  test('is software where there is nothing else, or where the hardware cannot be opened', async () => {
    await provide(10, 'Software Watchdog', 60);
    await provide(2, 'iTCO_wdt', 30);
    await rm(join(root, 'dev/watchdog2'));
    await mkdir(join(root, 'dev/watchdog2')); // opening a directory for writing fails
    await open();
    expect(await fed('watchdog10')).toBe('.');
  });

  test('of a BMC, which the kernel lists nowhere, is hardware too', async () => {
    await provide(0, 'Software Watchdog', 60);
    await put('dev/watchdog', '');
    await put('module/ipmi_watchdog/parameters/timeout', '10\n');
    await open();
    expect(lines).toMatchObject([{ msg: 'watchdog is fed', device: join(root, 'dev/watchdog'), identity: 'ipmi_watchdog', timeoutS: 10 }]);
    expect(await fed('watchdog')).toBe('.');
  });

  test('that does not tell its timeout is fed often', async () => {
    await put('dev/watchdog0', '');
    await put('sys/watchdog0/state', 'inactive\n');
    await open();
    expect(lines).toMatchObject([{ msg: 'watchdog is fed', device: join(root, 'dev/watchdog0'), timeoutS: null }]);
    expect(await fed('watchdog0')).toBe('.');
  });

  test('is not fed while the event loop does not turn, and is fed again when it does', async () => {
    await provide(0, 'Software Watchdog', 0.1);
    await open();
    const before = (await fed('watchdog0')).length;
    const resumeAt = performance.now() + 300;
    while (performance.now() < resumeAt);
    expect((await fed('watchdog0')).length).toBeLessThanOrEqual(before + 1);
    await until('it is fed again', async () => (await fed('watchdog0')).length > before + 2);
  });

  test('is given up some time after the machine was to be gone', async () => {
    await provide(0, 'Software Watchdog', 0.1);
    const given = await open();
    given!.abandonIn(0);
    let before = -1;
    await until('it is not fed any more', async () => {
      const count = (await fed('watchdog0')).length;
      const isQuiet = count === before;
      before = count;
      await sleep(200);
      return isQuiet;
    });
  });

  test('is never switched off: another agent goes on feeding it', async () => {
    await provide(0, 'Software Watchdog', 60);
    const first = await open();
    first!.close();
    await open();
    expect(await fed('watchdog0')).not.toContain('V');
    expect(lines.filter(({ msg }) => msg === 'watchdog is fed')).toHaveLength(2);
  });

  test('keeps its own timeout when it cannot be set', async () => {
    await provide(0, 'iTCO_wdt', 30);
    await open({ setTimeout: () => Promise.reject(new Error('not by this driver')) });
    expect(lines).toMatchObject([{ msg: "the watchdog's timeout cannot be set, it keeps its own", problem: 'not by this driver' }, { msg: 'watchdog is fed', timeoutS: 30 }]);
  });

  test.each([
    ['there is none', {}, /no driver has been loaded/],
    ['the configuration wants none', { timeoutS: 0 }, undefined],
  ])('that is missing because %s is told once, as a warning', async (_why, options, problem) => {
    if (problem === undefined) await provide(0, 'Software Watchdog', 60);
    expect(await open(options)).toBeNull();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: 40, msg: expect.stringMatching(/^no watchdog: /), ...(problem ? { problem: expect.stringMatching(problem) } : {}) });
    if (problem === undefined) expect(await fed('watchdog0')).toBe('');
  });
});

describe('setting the timeout', () => {
  test('leaves alone what is as wanted', async () => {
    await expect(setWatchdogTimeout('/nonexistent/watchdog', 60, () => 60)).resolves.toBeUndefined();
  });

  test('tells what the program said when it is not possible', async () => {
    await expect(setWatchdogTimeout('/nonexistent/watchdog', 60, () => 30)).rejects.toThrow(/expected a timeout of 60 s, found 30: watchdog: can't open '\/nonexistent\/watchdog'/);
  });
});
