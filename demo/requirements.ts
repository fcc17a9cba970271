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

/** For a virtual server besides. */
const VM_PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  dnsmasq: 'dnsmasq-base',
  ip: 'iproute2',
  'grub-mkimage': 'grub-common',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
};
/** Files that GRUB, UEFI machines and the disk's own system are made of, and the Debian packages that have them. */
const VM_FILES: Readonly<Record<string, string>> = {
  '/usr/lib/grub/i386-pc/kernel.img': 'grub-pc-bin',
  '/usr/lib/grub/x86_64-efi/kernel.img': 'grub-efi-amd64-bin',
  '/usr/share/OVMF/OVMF_VARS_4M.fd': 'ovmf',
  '/bin/busybox': 'busybox-static',
};

/** What the demo needs and does not find here, a sentence each; empty when it can run. */
export async function findMissing({ virtual, path = SYSTEM_PATH, userId = process.getuid?.() }: { virtual: boolean; path?: string; userId?: number | undefined }): Promise<string[]> {
  const missing: string[] = [];
  if (userId !== 0) missing.push('The demo must run as root: it attaches loop devices, mounts, and makes namespaces. Run it with sudo or in a root shell.');
  const packageOf: Readonly<Record<string, string>> = virtual ? { ...PROGRAMS, ...VM_PROGRAMS, ...VM_FILES } : PROGRAMS;
  const absent: string[] = [];
  for (const name of Object.keys(packageOf)) if (!(name.startsWith('/') ? await exists(name, constants.R_OK) : await isOnPath(name, path))) absent.push(name);
  if (absent.length > 0) {
    const packages = [...new Set(absent.map((name) => packageOf[name]))].join(' ');
    missing.push(`Missing: ${absent.join(', ')}. Install ${absent.length === 1 ? 'it' : 'them'} with "apt-get install ${packages}".`);
  }
  if (!(await exists('/dev/fuse', constants.R_OK))) missing.push('/dev/fuse is missing, so the share cannot be mounted with davfs2: load the kernel module with "modprobe fuse", or give the container the device (--device /dev/fuse --cap-add SYS_ADMIN).');
  if (!(await exists('/dev/loop-control', constants.F_OK))) missing.push('/dev/loop-control is missing, so an image file cannot be a block device: load the kernel module with "modprobe loop", or give the container the device.');
  if (virtual && !(await exists('/dev/net/tun', constants.R_OK))) missing.push('/dev/net/tun is missing, so a virtual machine cannot be given a network card: load the kernel module with "modprobe tun", or give the container the device (--device /dev/net/tun --cap-add NET_ADMIN).');
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
