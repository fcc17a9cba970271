import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { findProcesses, identifyProcess, isRunning, killProcess, waitForEnd } from '../../../ramdisk-agent/capture/process-identity.ts';

const MARK = 'infinity';

test('a process is told from a later one with its pid, and only the very process is killed', async () => {
  const child = spawn('sleep', [MARK]);
  const closed = once(child, 'close');
  try {
    await once(child, 'spawn');
    const identity = identifyProcess(child.pid!)!;
    const later = { ...identity, startTicks: String(Number(identity.startTicks) + 1) };
    expect(isRunning(identity)).toBe(true);
    expect(isRunning(later)).toBe(false);
    killProcess(later);
    expect(isRunning(identity)).toBe(true);
    expect(findProcesses('sleep', MARK)).toContainEqual(identity);
    expect(findProcesses('sleep', 'another argument')).toEqual([]);
    await expect(waitForEnd(identity, 'sleep', 1)).rejects.toThrow(`sleep (pid ${child.pid}) did not end within 0.001 s`);
    killProcess(identity);
    await waitForEnd(identity, 'sleep', 10_000);
    expect(isRunning(identity)).toBe(false);
  } finally {
    child.kill('SIGKILL');
    await closed;
  }
});
