import { chmodSync, chownSync, mkdirSync, readFileSync } from 'node:fs';
import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';

/** Part of the available memory that the cache may take when the configuration names no size. */
const DEFAULT_SHARE_OF_MEMORY = 0.9;
const MOUNT_TIMEOUT_MS = 10_000;

/** Bytes for the cache without a configured size: 90 % of MemAvailable (proc(5)). */
export function defaultCacheSizeBytes(memoryInformation = readFileSync('/proc/meminfo', 'utf8')): number {
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(memoryInformation)?.[1];
  if (kib === undefined) throw new OperationFailedError('/proc/meminfo has no MemAvailable: set cache_size_bytes in the configuration');
  return Math.floor(Number(kib) * 1024 * DEFAULT_SHARE_OF_MEMORY);
}

/**
 * Mounts a tmpfs of exactly this size, 0700. Within it `files` is the directory that davfs2 keeps its cache in: mount.davfs
 * insists on its own group's write access there (check_dirs of its source, "can't access directory").
 */
export async function mountCacheFileSystem(directory: string, sizeBytes: number, signal: AbortSignal): Promise<string> {
  await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700,nosuid,nodev,noexec`, 'metalshot-cache', directory], { timeoutMs: MOUNT_TIMEOUT_MS, signal, env: CHILD_ENVIRONMENT });
  const files = `${directory}/files`;
  mkdirSync(files);
  chownSync(files, 0, davfsGroupId());
  chmodSync(files, 0o770);
  return files;
}

function davfsGroupId(): number {
  const line = /^davfs2:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'));
  if (!line) throw new OperationFailedError('there is no group "davfs2" on this system, which mount.davfs needs: install the package davfs2');
  return Number(line[1]);
}
