import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/** Directory of one test run: the TMPDIR of its tests. A path below another run's directory belongs to that run. */
export const RUN_DIRECTORY_PREFIX = 'metalshot-test-';
/** In the environment of everything that a test run starts; its value is the run's directory. */
export const RUN_VARIABLE = 'TEST_RUN_OF_METALSHOT';

const PATIENCE_MS = 10_000;
const LOOK_INTERVAL_MS = 250;

/** What is mounted and attached on this machine now. */
export const lookAround = () => ({ mounts: listMounts(), loops: listLoops() });

/**
 * What the tests have left behind, a line each: mounts, loop devices, processes and files. Waits a little for what is about
 * to end, such as a davfs2 daemon after its unmount.
 */
export async function findLeftovers(runDirectory, before) {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    const lines = describe(runDirectory, before);
    if (lines.length === 0 || performance.now() > giveUpAt) return lines;
    await setTimeout(LOOK_INTERVAL_MS);
  }
}

/** Ids of living processes of the run: started with its variable in their environment, or with its directory in an argument. */
export function listRunProcesses(runDirectory) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((id) => {
      const args = readProcess(id, 'cmdline'); // empty for kernel threads and for the dead that nobody has waited for
      return args !== '' && (args.includes(runDirectory) || readProcess(id, 'environ').split('\0').includes(`${RUN_VARIABLE}=${runDirectory}`));
    })
    .map(Number);
}

export const hasMountBelow = (directory) => listMounts().some(({ point }) => point.startsWith(`${directory}/`));

function describe(runDirectory, before) {
  const now = lookAround();
  const known = new Set([...before.mounts.map(({ source, point }) => `${source} ${point}`), ...before.loops.map(({ name, file }) => `${name} ${file}`)]);
  const mounts = now.mounts.filter(({ source, point, type }) => !known.has(`${source} ${point}`) && !isOfAnotherRun(point, runDirectory) && isOurs(source, point, type, runDirectory));
  const loops = now.loops.filter(({ name, file }) => !known.has(`${name} ${file}`) && !isOfAnotherRun(file, runDirectory));
  return [
    ...mounts.map(({ source, point, type }) => `mount of ${source} on ${point} (${type}); remove it with: umount ${point}`),
    ...loops.map(({ name, file }) => `loop device ${name} attached to ${file}; remove it with: losetup --detach ${name}`),
    ...listRunProcesses(runDirectory).map((id) => `process ${id}: ${readProcess(id, 'cmdline').split('\0').join(' ').trim()}`),
    ...readdirSync(runDirectory).map((name) => `temporary file ${runDirectory}/${name}`),
  ];
}

const isOurs = (source, point, type, runDirectory) => type.startsWith('fuse') || type.includes('davfs') || source.startsWith('/dev/loop') || point.startsWith(`${runDirectory}/`);

const isOfAnotherRun = (path, runDirectory) => path.includes(`/${RUN_DIRECTORY_PREFIX}`) && !path.startsWith(`${runDirectory}/`);

function listMounts() {
  const unescape = (field) => field.replace(/\\([0-7]{3})/g, (_match, octal) => String.fromCharCode(parseInt(octal, 8))); // proc(5): space, tab, newline, backslash
  return readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean).map((line) => {
    const [source, point, type] = line.split(' ').map(unescape);
    return { source, point, type };
  });
}

function listLoops() {
  const { stdout } = spawnSync('losetup', ['--list', '--json', '--output', 'NAME,BACK-FILE'], { encoding: 'utf8' });
  if (!stdout?.trim()) return []; // none attached, or no loop devices on this machine
  return JSON.parse(stdout).loopdevices.map((loop) => ({ name: loop.name, file: loop['back-file'] ?? '' }));
}

function readProcess(id, file) {
  try {
    return readFileSync(`/proc/${id}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(error.code)) return ''; // ended meanwhile, or somebody else's
    throw error;
  }
}
