import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from '../capture/child-environment.ts';
import type { Region } from './disk-reader.ts';

const TIMEOUT_MS = 30_000;
const NOTHING_FOUND = 2;
const SEVERAL_FOUND = 8;
const ANYTHING = ['--match-tag', 'TYPE', '--match-tag', 'PTTYPE'];

/**
 * Names of what blkid(8) recognizes in a region of this very disk (ext4, LVM2_member, gpt); empty: nothing. No other device is
 * looked at. @param types the only ones to look for. Default: all, and partition tables.
 */
export async function probeRegion(path: string, region: Region, signal: AbortSignal, types: readonly string[] = []): Promise<string[]> {
  const wanted = types.length > 0 ? ['--match-types', types.join(','), '--match-tag', 'TYPE'] : ANYTHING;
  const args = ['--probe', '--offset', String(region.startBytes), '--size', String(region.sizeBytes), ...wanted, '--output', 'value', path];
  const reply = await runProgram('blkid', args, { timeoutMs: TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT, acceptedExitCodes: [0, NOTHING_FOUND, SEVERAL_FOUND] });
  return reply.exitCode === SEVERAL_FOUND ? ['several signatures at once'] : reply.stdout.split('\n').filter((line) => line !== '');
}
