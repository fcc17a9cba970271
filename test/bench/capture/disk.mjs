import { mkdir, open, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const FULL_DISK_BYTES = 8 * GIB;
/** The smallest that the agent takes for a root disk. */
const SMALLEST_DISK_BYTES = 4 * GIB;
const LIVE_BYTES = 1.6e9;
const DELETED_BYTES = 1.5e9;
/** Of the demo's content, which is a third of a gigabyte; what is missing then is filled up with pseudo-random files. */
const DEMO_CONTENT_SHARE = 4;
const FILLER_BYTES = 64 * MIB;
const TIMEOUT_MS = 15 * 60_000;
const LINUX_TYPE = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
const SECTOR_BYTES = 512;

const MAKE = { ext4: ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard'], xfs: ['mkfs.xfs', '-q', '-f', '-K'] };
export const FILE_SYSTEMS = Object.keys(MAKE);

/**
 * Makes the file system in the disk's partition and fills it: half of what is to be deleted, the files, the other half. Runs
 * in a mount namespace of its own, whose mount is gone with it. Arguments: disk, offset and length of the partition, mount
 * point, files, bytes of garbage, then the command that makes the file system.
 */
const FILL = `
set -eu
disk=$1 offset=$2 length=$3 mount=$4 files=$5 garbage=$6
shift 6
device=$(losetup --find --show --offset "$offset" --sizelimit "$length" "$disk")
trap 'umount "$mount" 2>/dev/null || :; losetup --detach "$device"' EXIT
"$@" "$device" >/dev/null
mount "$device" "$mount"
head -c "$garbage" /dev/urandom >"$mount/garbage-1"
cp -a "$files/." "$mount/"
head -c "$garbage" /dev/urandom >"$mount/garbage-2"
sync -f "$mount"
rm "$mount/garbage-1" "$mount/garbage-2"
umount "$mount"
sync "$disk"
`;

/**
 * Makes the disk that facts about captures are measured with: GPT and one file system with 1.6 GB of files, and 1.5 GB of
 * deleted data between them, in a sparse file.
 * @param parts.share of files and deleted data. @param tools runProgram and the demo's content, of the built programs.
 */
export async function buildDisk(directory, { share, fileSystem }, { runProgram, fillDirectory, writePseudoRandom }) {
  const path = join(directory, 'disk-0.img');
  const sizeBytes = Math.max(SMALLEST_DISK_BYTES, Math.ceil((FULL_DISK_BYTES * share) / GIB) * GIB);
  const [files, mount] = [join(directory, 'files'), join(directory, 'mounted')];
  await mkdir(files);
  await mkdir(mount);
  await fillDirectory(files, { share: DEMO_CONTENT_SHARE * share });
  await fillUp(files, LIVE_BYTES * share, { runProgram, writePseudoRandom });
  await makePartition(path, sizeBytes, runProgram);
  const offsetBytes = MIB;
  const fill = [path, offsetBytes, sizeBytes - 2 * MIB, mount, files, Math.round((DELETED_BYTES * share) / 2), ...MAKE[fileSystem]];
  await runProgram('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', FILL, 'fill', ...fill.map(String)], { timeoutMs: TIMEOUT_MS });
  await rm(files, { recursive: true });
  await rm(mount, { recursive: true });
  return { path, sizeBytes };
}

/** A sparse disk of 64 GiB with an ext4 that holds next to nothing: what it costs is what its size costs. */
export async function buildLargeDisk(directory, { runProgram }) {
  const path = join(directory, 'large.img');
  const sizeBytes = 64 * GIB;
  await makePartition(path, sizeBytes, runProgram);
  await runProgram('mkfs.ext4', ['-q', '-F', '-E', `offset=${MIB},lazy_itable_init=1`, path, `${(sizeBytes - 2 * MIB) / 1024}k`], { timeoutMs: TIMEOUT_MS });
  return { path, sizeBytes };
}

/** Further disks with the same content, each a file of its own. @throws Error when there is no room for them. */
export async function copyDisk({ path, sizeBytes }, directory, count, { runProgram }) {
  const { stdout } = await runProgram('du', ['--block-size=1', path], { timeoutMs: TIMEOUT_MS });
  const neededBytes = 3 * count * Number(stdout.split('\t')[0]); // the copy, its image in the spool, and in the image service
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < neededBytes) throw new Error(`${directory}: expected ${(neededBytes / 1e9).toFixed(0)} GB of room for ${count} more disks and their images, found ${((bavail * bsize) / 1e9).toFixed(0)} GB: take fewer --machines, or another --work-directory`);
  const disks = [];
  for (let index = 1; index <= count; index += 1) {
    const copy = join(directory, `disk-${index}.img`);
    await runProgram('cp', ['--sparse=always', '--reflink=auto', path, copy], { timeoutMs: TIMEOUT_MS });
    disks.push({ path: copy, sizeBytes });
  }
  return disks;
}

/** With pseudo-random files, up to so many bytes. */
async function fillUp(files, liveBytes, { runProgram, writePseudoRandom }) {
  const { stdout } = await runProgram('du', ['--summarize', '--apparent-size', '--block-size=1', files], { timeoutMs: TIMEOUT_MS });
  for (let left = liveBytes - Number(stdout.split('\t')[0]), index = 0; left > 0; left -= FILLER_BYTES, index += 1) {
    await writePseudoRandom(join(files, `filler-${index}`), Math.min(left, FILLER_BYTES), `filler ${index}`);
  }
}

/** One partition from the first MiB to the last; and a boot signature with some code before it, or no agent would take it for a root disk. */
async function makePartition(path, sizeBytes, runProgram) {
  await writeFile(path, '');
  await truncate(path, sizeBytes);
  const table = `label: gpt\nunit: sectors\nstart=${MIB / SECTOR_BYTES}, size=${(sizeBytes - 2 * MIB) / SECTOR_BYTES}, type=${LINUX_TYPE}, name=root\n`;
  await runProgram('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], { timeoutMs: TIMEOUT_MS, input: table });
  const file = await open(path, 'r+');
  try {
    await file.write(Buffer.from([0xfa, 0xf4, 0xeb, 0xfd]), 0, 4, 0); // cli; hlt; jump back to it
  } finally {
    await file.close();
  }
}
