import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { InvalidParameterError } from '../protocol/errors.ts';
import { installBootLoaders } from './boot-loader.ts';
import { buildDisk, type Disk, type DiskOptions } from './disk.ts';
import { grubConfig, ownInitramfs } from './own-system.ts';

const MIB = 1024 ** 2;
const EFI_PARTITION_BYTES = 32 * MIB;
/** Debian's busybox-static. */
const BUSYBOX = '/bin/busybox';

export interface SystemDiskOptions extends DiskOptions {
  /** Names the disk in what it prints when it boots. */
  label: string;
  /** Path of the Linux kernel that it boots, such as the ramdisk's `vmlinuz`. */
  kernel: string;
}

/** Files of which the boot loader takes digests at every boot. */
const PAYLOAD: Readonly<Record<string, string>> = {
  'srv/payload/ledger': 'a line of the ledger that must survive\n'.repeat(20_000),
  'srv/payload/register': 'another file\n'.repeat(500),
};

/**
 * A server's disk that boots in BIOS and UEFI machines: boot loader, Linux, and a system that says on the serial port whose
 * disk it runs from (`bootMarker`). A boot changes nothing on it, so that a copy made before is equal to one made after.
 * @throws OperationFailedError of the tools.
 */
export async function buildSystemDisk(directory: string, { label, kernel, files = {}, ...options }: SystemDiskOptions): Promise<Disk> {
  if (!/^[A-Za-z0-9-]+$/.test(label)) throw new InvalidParameterError(`label: expected letters, digits and "-", found ${label}`);
  const sums = Object.entries(PAYLOAD).map(([path, text]) => `${createHash('sha256').update(text).digest('hex')}  /${path}\n`);
  const disk = await buildDisk(directory, {
    ...options,
    efiPartitionBytes: EFI_PARTITION_BYTES,
    files: {
      ...PAYLOAD,
      'boot/payload.sha256': sums.join(''),
      'boot/grub/grub.cfg': grubConfig(label),
      'boot/vmlinuz': await readFile(kernel),
      'boot/initrd.img': ownInitramfs(await readFile(BUSYBOX)),
      ...files,
    },
  });
  await installBootLoaders({ disk: disk.path, efiPartition: disk.efiPartition!, workDirectory: directory, signal: options.signal });
  return disk;
}
