import { execFileSync } from 'node:child_process';

const TIMEOUT_MS = 120_000;

/** Has the kernel forget what it holds of these files of ours (posix_fadvise by dd), and of nothing else: every measurement begins with a cold disk. */
export function dropCached(paths) {
  for (const path of paths) execFileSync('dd', ['if=/dev/null', `of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'], { timeout: TIMEOUT_MS });
}

/** The same for a loop device of ours, which has a cache of its own. */
export function dropDevice(device) {
  execFileSync('blockdev', ['--flushbufs', device], { timeout: TIMEOUT_MS });
}
