import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBiosLoader } from '../../demo/boot-loader.ts';
import { buildDisk, type Disk, type DiskOptions } from '../../demo/disk.ts';
import { runProgram } from '../../protocol/program.ts';

const GRUB_DIRECTORY = '/usr/lib/grub/i386-pc';
const MODULES = ['biosdisk', 'part_gpt', 'ext2', 'serial', 'terminal', 'echo', 'cat', 'hashsum', 'gcry_sha256', 'halt'];
const BOOT_TIMEOUT_MS = 180_000;

/** What an operating system's own files look like; `generalize` changes these. */
export const IDENTITY_FILES: Readonly<Record<string, string>> = {
  'etc/os-release': 'ID=metalshot-test\nNAME="Metalshot test system"\n',
  'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  'etc/hostname': 'gold\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 gold.example gold\n',
};
const WITNESSES = { 'srv/witness-1': 'first file of which the boot loader takes the digest\n'.repeat(500), 'srv/witness-2': 'second file\n' };

/**
 * A disk that really boots: GRUB in its boot record and BIOS boot partition says on the serial port who it is, and takes
 * digests of files in the root file system.
 */
export async function buildBootableDisk(directory: string, options: DiskOptions): Promise<Disk> {
  const sums = Object.entries(WITNESSES).map(([path, text]) => `${createHash('sha256').update(text).digest('hex')}  /${path}\n`);
  const disk = await buildDisk(directory, { ...options, files: { ...IDENTITY_FILES, ...WITNESSES, 'boot/witnesses.sha256': sums.join(''), ...options.files } });
  await installBootLoader(disk.path);
  return disk;
}

async function installBootLoader(disk: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'metalshot-grub-'));
  try {
    const config = ['serial --unit=0 --speed=115200', 'terminal_output serial', 'echo "OWN DISK BOOTED"', 'set root=(hd0,gpt2)', 'cat /etc/hostname', 'hashsum --hash sha256 --check /boot/witnesses.sha256', 'echo "END OF BOOT"', 'halt', ''];
    await writeFile(join(work, 'grub.cfg'), config.join('\n'));
    await runProgram('grub-mkimage', ['--directory', GRUB_DIRECTORY, '--format', 'i386-pc', '--output', join(work, 'core.img'), '--prefix', '(hd0,gpt2)/boot/grub', '--config', join(work, 'grub.cfg'), ...MODULES], { timeoutMs: 60_000 });
    await writeBiosLoader(disk, await readFile(join(work, 'core.img')));
  } finally {
    await rm(work, { recursive: true });
  }
}

/** Boots the disk in a virtual machine (BIOS, without KVM; writes are thrown away) and returns what came over its serial port. */
export async function bootFromDisk(disk: string): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), 'metalshot-boot-'));
  try {
    const serial = join(work, 'serial');
    const args = ['-machine', 'pc,accel=tcg', '-m', '128', '-nodefaults', '-display', 'none', '-no-reboot', '-drive', `file=${disk},format=raw,if=ide,snapshot=on`, '-serial', `file:${serial}`];
    await runProgram('qemu-system-x86_64', args, { timeoutMs: BOOT_TIMEOUT_MS });
    return await readFile(serial, 'latin1');
  } finally {
    await rm(work, { recursive: true });
  }
}
