import { spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** USER_HZ: what Linux counts the times of /proc/PID/stat in, on every architecture that Node runs on. */
export const TICKS_PER_SECOND = 100;
const STOP_TIMEOUT_MS = 20_000;
const QUIET_SAMPLE_MS = 150;
const QUIET_TIMEOUT_MS = 5_000;

/** A server under measurement with all of its descendants; ended by its pid. */
export class ServerProcess {
  #child;
  #ended;

  /** @param logFile receives both outputs: a server that logs to nowhere would be a faster one than people run. */
  constructor(command, args, { logFile, env = {} }) {
    const log = openSync(logFile, 'a');
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('exit', resolve);
      this.#child.once('error', reject);
    });
    this.#ended.catch(() => undefined); // told by whoever waits for the first answer
  }

  get running() {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** CPU seconds (user and system) that the server and its descendants have used, those that have ended included. */
  cpuSeconds() {
    return sum(processTree(this.#child.pid).map((pid) => cpuTicks(pid))) / TICKS_PER_SECOND;
  }

  /** Resident memory of the server and its descendants, now. */
  residentBytes() {
    return sum(processTree(this.#child.pid).map((pid) => residentBytes(pid)));
  }

  /** Waits until what the requests have set off in the background is done: the CPU stands still. */
  async quiet() {
    const deadline = performance.now() + QUIET_TIMEOUT_MS;
    for (let still = 0, before = this.cpuSeconds(); still < 2 && performance.now() < deadline; ) {
      await pause(QUIET_SAMPLE_MS);
      const now = this.cpuSeconds();
      still = now - before <= 1 / TICKS_PER_SECOND ? still + 1 : 0;
      before = now;
    }
  }

  async stop() {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** A TCP port of loopback that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

function processTree(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? statFields(Number(name))?.[1] : undefined;
    if (parent !== undefined) children.set(Number(parent), [...(children.get(Number(parent)) ?? []), Number(name)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** The fields of /proc/PID/stat from the third (state) on; undefined for a process that is gone. */
function statFields(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined; // it has ended while we looked
    throw error;
  }
}

/** utime, stime, cutime and cstime: fields 14 to 17 of proc(5). */
export const cpuTicks = (pid) => sum((statFields(pid)?.slice(11, 15) ?? []).map(Number));

function residentBytes(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return 0; // it has ended while we looked
    throw error;
  }
}
