/** What iPXE is answered with (https://ipxe.org/scripting). Every script ends at the machine's own disk when anything fails. */

/** The machine's first script: asks for its own by the address of the interface that it boots from. */
export const bootstrapScript = (baseUrl: string): string => script([`chain --autofree ${baseUrl}/mac-\${netX/mac:hexhyp}.ipxe || goto local`, ...localBoot(baseUrl)]);

/**
 * BIOS: the first disk. UEFI: iPXE has no way to start another loader of the disk, `exit` strands some firmwares in their
 * set-up, and `exit 1` goes on to the next network interface first; so a small GRUB looks for the disk's own loader.
 */
export const localBootScript = (baseUrl: string): string => script(localBoot(baseUrl));

export interface RamdiskScript {
  baseUrl: string;
  /** Names kernel and initramfs that belong together. */
  key: string;
  commandLine: string;
}

/**
 * Kernel, the big initramfs and the small one with what belongs to this conductor. The names after `initrd=` and `--name`
 * are what a kernel started by UEFI finds them by; with BIOS, iPXE hands them over itself.
 */
export const ramdiskScript = ({ baseUrl, key, commandLine }: RamdiskScript): string =>
  script([
    'imgfree',
    `kernel --name vmlinuz ${baseUrl}/ramdisk/${key}/vmlinuz initrd=initramfs initrd=conductor.cpio ${commandLine} || goto local`,
    `initrd --name initramfs ${baseUrl}/ramdisk/${key}/initramfs || goto local`,
    `initrd --name conductor.cpio ${baseUrl}/conductor.cpio || goto local`,
    'boot || goto local',
    ...localBoot(baseUrl),
  ]);

const localBoot = (baseUrl: string): string[] => [
  ':local',
  'imgfree',
  'iseq ${platform} efi && goto uefi ||',
  'sanboot --no-describe --drive 0x80 || exit 1',
  ':uefi',
  `chain --autofree ${baseUrl}/grub-local.efi ||`,
  'exit 1', // the loader has found no system: what the firmware tries next
];

const script = (lines: readonly string[]): string => ['#!ipxe', ...lines, ''].join('\n');
