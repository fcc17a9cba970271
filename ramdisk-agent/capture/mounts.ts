import { readFileSync } from 'node:fs';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { runProgram } from '../../protocol/program.ts';
import { CHILD_ENVIRONMENT } from './child-environment.ts';

export interface Mount {
  source: string;
  directory: string;
  type: string;
  options: string[];
}

const UNMOUNT_TIMEOUT_MS = 10_000;

/** What is mounted in our namespace, in the order of /proc/self/mounts. */
export function readMounts(): Mount[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [source = '', directory = '', type = '', options = ''] = line.split(' ').map(unescapeOctal);
      return { source, directory, type, options: options.split(',') };
    });
}

export const findMount = (directory: string): Mount | undefined => readMounts().findLast((mount) => mount.directory === directory);

/**
 * Unmounts a directory; nothing mounted: fine. First without the file system's own helper, because umount.davfs looks for
 * its daemon only every 3 s; a umount that knows no `-i` (busybox) has no helpers either and is called plainly.
 * @param options.force detach it (`-l`) when it is busy or its daemon is dead.
 */
export async function unmount(directory: string, options: { force?: boolean; timeoutMs?: number } = {}): Promise<void> {
  const attempts = [['-i', '-c', directory], [directory], ...(options.force ? [['-l', directory]] : [])];
  let problem: unknown;
  for (const args of attempts) {
    if (!findMount(directory)) return;
    try {
      await runProgram('umount', args, { timeoutMs: options.timeoutMs ?? UNMOUNT_TIMEOUT_MS, env: CHILD_ENVIRONMENT });
    } catch (error) {
      problem = error; // told only if the mount is still there after the last attempt
    }
  }
  if (findMount(directory)) throw new OperationFailedError(`cannot unmount ${directory}: ${messageOf(problem)}`, { directory }, problem);
}

const unescapeOctal = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
