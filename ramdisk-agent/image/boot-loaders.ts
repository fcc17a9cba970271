import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCpioArchive } from '../../protocol/cpio-archive.ts';
import type { UnpackedRoot } from './unpacked-root.ts';

const MKIMAGE_TIMEOUT_MS = 60_000;
const GRUB_MODULES = [
  ...['memdisk', 'newc', 'normal', 'echo', 'test', 'regexp', 'sleep', 'part_gpt', 'part_msdos', 'fat'],
  ...['chain', 'boot', 'ls', 'minicmd', 'halt', 'reboot'],
];

/** What iPXE hands over to on UEFI: firmware that leaves a network boot may end in its menu or boot from the network again. */
export const LOCAL_BOOT_SCRIPT = `
# Finds an EFI loader on the machine's own disks and starts it. Those of operating systems come before the fallback
# \\EFI\\BOOT\\BOOTX64.EFI. Network and optical media have other device names, so what this came from is not found again.
set pager=0
function try {
  if [ -f "$1" ]; then
    echo "Booting $1"
    # a loader looks for its own files on the device that root names
    regexp --set 1:root '^\\(([^)]*)\\)' "$1"
    if chainloader "$1"; then
      boot
    fi
  fi
}
for disk in (hd*,gpt*) (hd*,msdos*); do
  for path in $disk/EFI/*/shimx64.efi $disk/EFI/Microsoft/Boot/bootmgfw.efi $disk/EFI/*/grubx64.efi $disk/EFI/systemd/systemd-bootx64.efi $disk/EFI/BOOT/BOOTX64.EFI $disk/EFI/*/grub.efi; do
    try "$path"
  done
done
echo "No EFI loader was found on the disks of this machine."
sleep 5
exit
`;

/** By their names in the ramdisk's directory: iPXE, and the signed shim and GRUB (the variant for CDs) of ISOs that boot under Secure Boot. */
const PACKAGED_LOADERS = {
  'undionly.kpxe': 'usr/lib/ipxe/undionly.kpxe',
  'snponly.efi': 'usr/lib/ipxe/snponly.efi',
  'shimx64.efi': 'usr/lib/shim/shimx64.efi.signed',
  'gcdx64.efi': 'usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed',
} as const;
export const BOOT_LOADERS = ['grub-local.efi', ...(Object.keys(PACKAGED_LOADERS) as (keyof typeof PACKAGED_LOADERS)[])] as const;

/** Writes grub-local.efi, and iPXE for machines whose firmware has none, and signed loaders, into the directory. */
export async function writeBootLoaders(tools: UnpackedRoot, directory: string): Promise<void> {
  for (const [name, path] of Object.entries(PACKAGED_LOADERS)) await copyFile(join(tools.path, path), join(directory, name));
  const memdisk = join(directory, 'grub-memdisk');
  await writeFile(memdisk, createCpioArchive([{ type: 'directory', path: 'boot' }, { type: 'directory', path: 'boot/grub' }, { type: 'file', path: 'boot/grub/grub.cfg', content: LOCAL_BOOT_SCRIPT }]));
  const modules = join(tools.path, 'usr/lib/grub/x86_64-efi');
  await tools.run('grub-mkimage', ['--format=x86_64-efi', `--directory=${modules}`, '--prefix=(memdisk)/boot/grub', `--memdisk=${memdisk}`, `--output=${join(directory, 'grub-local.efi')}`, ...GRUB_MODULES], MKIMAGE_TIMEOUT_MS);
}
