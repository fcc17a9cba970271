import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { runProgram } from '../protocol/program.ts';

const loopsSchema = z.object({ loopdevices: z.array(z.object({ name: z.string(), 'back-file': z.string().nullable() })) });

/**
 * What is left of a run, a line each: everything of it names its work directory. Looks again for a moment, as the kernel
 * lets go of loop devices a little after their last user.
 * @param options.kept the work directory itself was to be kept. @param options.patienceMs how long to look again.
 */
export async function findLeftovers(workDirectory: string, { kept, patienceMs = 5_000 }: { kept: boolean; patienceMs?: number }): Promise<string[]> {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    const found = [...findProcesses(workDirectory), ...findMounts(workDirectory), ...(await findLoopDevices(workDirectory)), ...findDavfsFiles(workDirectory), ...(!kept && existsSync(workDirectory) ? [`directory ${workDirectory}`] : [])];
    if (found.length === 0 || Date.now() > giveUpAt) return found;
    await pause(50);
  }
}

/** By arguments, and by the mount table: a process in a namespace of ours sees mounts below the work directory. */
function findProcesses(workDirectory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => read(`/proc/${pid}/cmdline`).includes(workDirectory) || read(`/proc/${pid}/mountinfo`).includes(workDirectory))
    .map((pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()}`);
}

const findMounts = (workDirectory: string): string[] =>
  read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line.includes(workDirectory))
    .map((line) => `mount ${line.split(' ')[4]}`);

async function findLoopDevices(workDirectory: string): Promise<string[]> {
  const { stdout } = await runProgram('losetup', ['--list', '--json', '--output', 'NAME,BACK-FILE'], { timeoutMs: 10_000 });
  if (stdout.trim() === '') return [];
  return loopsSchema
    .parse(JSON.parse(stdout))
    .loopdevices.filter((loop) => loop['back-file']?.includes(workDirectory))
    .map((loop) => `loop device ${loop.name} of ${loop['back-file']}`);
}

/** davfs2 names its pid files and caches for the mount point, with dashes for slashes. */
function findDavfsFiles(workDirectory: string): string[] {
  return ['/run/mount.davfs', '/var/cache/davfs2']
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).filter((name) => name.includes(basename(workDirectory))).map((name) => `file ${directory}/${name}`));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''; // ended meanwhile
    throw error;
  }
}
