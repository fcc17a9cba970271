import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findLeftovers } from '../../../demo/leftovers.ts';
import { runProgram } from '../../../protocol/program.ts';

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'leftovers-test-'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

describe('what a run has left', () => {
  test('nothing is nothing, and a kept directory is no leftover', async () => {
    expect(await findLeftovers(work, { kept: true })).toEqual([]);
    await rm(work, { recursive: true });
    expect(await findLeftovers(work, { kept: false })).toEqual([]);
  });

  test('the directory itself is found', async () => {
    expect(await findLeftovers(work, { kept: false, patienceMs: 0 })).toEqual([`directory ${work}`]);
  });

  test('a process, a mount in a namespace of its own, and a loop device are found', async () => {
    const image = join(work, 'image');
    await writeFile(image, '');
    await truncate(image, 1024 * 1024);
    const { stdout } = await runProgram('losetup', ['--find', '--show', image], { timeoutMs: 10_000 });
    const device = stdout.trim();
    const named = spawn('sh', ['-c', 'echo; read line', work], { stdio: ['pipe', 'pipe', 'inherit'] });
    const hidden = spawn('unshare', ['--mount', 'sh', '-c', `cd "$1" && mount -t tmpfs none . && echo && exec cat`, 'sh', work], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await Promise.all([once(named.stdout, 'data'), once(hidden.stdout, 'data')]);
      const found = await findLeftovers(work, { kept: true, patienceMs: 0 });
      expect(found).toContain(`loop device ${device} of ${image}`);
      expect(found).toContainEqual(expect.stringMatching(new RegExp(`^process ${named.pid}: sh`)));
      expect(found).toContainEqual(expect.stringMatching(new RegExp(`^process ${hidden.pid}: `)));
      expect(found).toHaveLength(3);
    } finally {
      named.kill('SIGKILL');
      hidden.kill('SIGKILL');
      await runProgram('losetup', ['--detach', device], { timeoutMs: 10_000 });
      await Promise.all([named, hidden].filter((child) => child.exitCode === null && child.signalCode === null).map((child) => once(child, 'exit')));
    }
  });
});
