import { readFile, readdir } from 'node:fs/promises';
import { until } from './until.ts';

export interface Process {
  pid: number;
  parentPid: number;
  args: string[];
}

/** The processes below one of ours, those in its namespaces too: the only ones that a test may touch. */
export async function descendantsOf(pid: number): Promise<Process[]> {
  const all: Process[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [stat, commandLine] = [await readFile(`/proc/${name}/stat`, 'utf8'), await readFile(`/proc/${name}/cmdline`, 'utf8')];
      const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      all.push({ pid: Number(name), parentPid, args: commandLine.split('\0').filter((arg) => arg !== '') });
    } catch {
      continue; // ended while it was read
    }
  }
  const found: Process[] = [];
  const below = new Set([pid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const process of all) {
      if (below.has(process.parentPid) && !below.has(process.pid)) {
        below.add(process.pid);
        found.push(process);
        grew = true;
      }
    }
  }
  return found;
}

/** Waits for a process of this test (of `program`, with `argument` among its arguments). */
export function processOf(program: string, argument: string, timeoutMs = 60_000): Promise<Process> {
  return until(
    `a process ${program} with ${argument} runs`,
    async () => (await descendantsOf(process.pid)).find(({ args }) => (args[0] ?? '').endsWith(program) && args.some((arg) => arg.includes(argument))),
    timeoutMs,
  );
}
