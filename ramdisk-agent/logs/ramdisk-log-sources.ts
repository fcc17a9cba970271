import { readFileSync } from 'node:fs';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import { ensureRamdisk, KERNEL_COMMAND_LINE } from '../devices/ramdisk-devices.ts';
import type { LogSource } from './log-source.ts';

const TIMEOUT_MS = 10_000;
const KIB = 1024;

/** What the machine that we run on tells of itself: in the ramdisk only. */
export function listRamdiskLogSources(): LogSource[] {
  return [
    { name: 'dmesg', limitBytes: 512 * KIB, read: () => run('dmesg') },
    { name: 'cmdline', limitBytes: 8 * KIB, read: () => Promise.resolve(readFileSync(KERNEL_COMMAND_LINE, 'utf8')) },
    { name: 'lsblk.json', limitBytes: 128 * KIB, read: () => run('lsblk', '--json', '--bytes', '--output-all') },
    { name: 'ip-address', limitBytes: 64 * KIB, read: () => run('ip', 'address') },
    { name: 'ip-route', limitBytes: 64 * KIB, read: () => run('ip', 'route') },
    { name: 'meminfo', limitBytes: 8 * KIB, read: () => Promise.resolve(readFileSync('/proc/meminfo', 'utf8')) },
  ].map((source) => ({ ...source, read: () => (ensureRamdisk(), source.read()) }));
}

async function run(program: string, ...args: string[]): Promise<string> {
  return (await runProgram(program, args, { timeoutMs: TIMEOUT_MS, env: CHILD_ENVIRONMENT })).stdout;
}
