import { readFileSync, writeFileSync } from 'node:fs';
import { cpuTicks, TICKS_PER_SECOND } from '../server-process.mjs';

const SAMPLE_MS = 100;
const NONE = { cpuS: 0, readBytes: 0, writtenBytes: 0, peakBytes: 0 };

/**
 * What trees of processes use while it watches: CPU (of children that have ended too), bytes read and written by system
 * calls (network and pipes among them), and the largest resident memory that a tree had at a sample or its largest process ever had.
 * Samples often, since a machine that is switched off takes its figures with it.
 */
export class ProcessWatch {
  #roles = new Map();
  #trees = new Map();
  #timer;

  /** @param roles by name the function that says which processes are the trees' roots just now. */
  constructor(roles) {
    for (const [role, roots] of Object.entries(roles)) this.#roles.set(role, roots);
  }

  start() {
    for (const roots of this.#roles.values()) roots().forEach(forgetPeak);
    this.#sample(true);
    this.#timer = setInterval(() => this.#sample(false), SAMPLE_MS);
    return this;
  }

  /** By role; of several trees the sums, and the largest peak. */
  stop() {
    clearInterval(this.#timer);
    this.#sample(false);
    const figures = {};
    for (const role of this.#roles.keys()) {
      const trees = [...this.#trees.values()].filter((tree) => tree.role === role);
      const total = (figure) => trees.reduce((sum, { base, most }) => sum + most[figure] - base[figure], 0);
      figures[role] = { cpuS: total('cpuS'), readBytes: total('readBytes'), writtenBytes: total('writtenBytes'), peakBytes: Math.max(0, ...trees.map(({ most }) => most.peakBytes)) };
    }
    return figures;
  }

  /** Trees that come up later begin with nothing used. */
  #sample(isFirst) {
    for (const [role, roots] of this.#roles) {
      for (const root of roots()) {
        const now = look(root);
        const tree = this.#trees.get(root) ?? { role, base: isFirst ? now : NONE, most: NONE };
        this.#trees.set(root, tree);
        tree.most = Object.fromEntries(Object.entries(tree.most).map(([figure, most]) => [figure, Math.max(most, now[figure])]));
      }
    }
  }
}

/** Direct children of a process's first thread: Node starts all of its children there. */
export const childrenOf = (pid) => read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number);

/** What our own children have used that have ended and were waited for. */
export function endedChildren() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { cpuS: (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND, ...io('self') };
}

function look(root) {
  const figures = { ...NONE };
  let [residentBytes, largestBytes] = [0, 0];
  const tree = [root];
  for (const pid of tree) {
    tree.push(...childrenOf(pid));
    figures.cpuS += cpuTicks(pid) / TICKS_PER_SECOND;
    const { readBytes, writtenBytes } = io(pid);
    figures.readBytes += readBytes;
    figures.writtenBytes += writtenBytes;
    const status = read(`/proc/${pid}/status`);
    residentBytes += kilobytes(status, 'VmRSS');
    largestBytes = Math.max(largestBytes, kilobytes(status, 'VmHWM'));
  }
  figures.peakBytes = Math.max(residentBytes, largestBytes);
  return figures;
}

function io(pid) {
  const text = read(`/proc/${pid}/io`);
  const field = (name) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { readBytes: field('rchar'), writtenBytes: field('wchar') };
}

const kilobytes = (status, field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;

/** proc(5), clear_refs: 5 begins the peak of the resident memory anew. */
function forgetPeak(pid) {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error; // it has ended while we looked
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return ''; // it has ended while we looked
    throw error;
  }
}
