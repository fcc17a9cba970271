import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { SYSTEM_PATH } from '../protocol/program.ts';

/** Program and the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  'mount.davfs': 'davfs2',
  sfdisk: 'fdisk',
  'mkfs.ext4': 'e2fsprogs',
  debugfs: 'e2fsprogs',
  losetup: 'mount',
  mount: 'mount',
  umount: 'mount',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  find: 'findutils',
  sha256sum: 'coreutils',
  blkid: 'util-linux',
  lsblk: 'util-linux',
};

/** What the demo needs and does not find here, a sentence each; empty when it can run. */
export async function findMissing(path = SYSTEM_PATH, userId = process.getuid?.()): Promise<string[]> {
  const missing: string[] = [];
  if (userId !== 0) missing.push('The demo must run as root: it attaches loop devices, mounts, and makes namespaces. Run it with sudo or in a root shell.');
  const absent: string[] = [];
  for (const program of Object.keys(PROGRAMS)) if (!(await isOnPath(program, path))) absent.push(program);
  if (absent.length > 0) {
    const packages = [...new Set(absent.map((program) => PROGRAMS[program]))].join(' ');
    missing.push(`${absent.length === 1 ? 'A program is' : 'Programs are'} missing: ${absent.join(', ')}. Install ${absent.length === 1 ? 'it' : 'them'} with "apt-get install ${packages}".`);
  }
  if (!(await exists('/dev/fuse', constants.R_OK))) missing.push('/dev/fuse is missing, so the share cannot be mounted with davfs2: load the kernel module with "modprobe fuse", or give the container the device (--device /dev/fuse --cap-add SYS_ADMIN).');
  if (!(await exists('/dev/loop-control', constants.F_OK))) missing.push('/dev/loop-control is missing, so an image file cannot be a block device: load the kernel module with "modprobe loop", or give the container the device.');
  return missing;
}

async function isOnPath(program: string, path: string): Promise<boolean> {
  for (const directory of path.split(delimiter)) if (await exists(join(directory || '.', program), constants.X_OK)) return true;
  return false;
}

const exists = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false, // absent or not for us: the caller says so
  );
