/** What the ramdisk is made of, by names of Debian packages and of the programs in them. */

/** `generic`: for servers; `cloud`: virtual machines and tests, with a kernel that has their drivers only. */
export const VARIANTS = ['generic', 'cloud'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Metapackages that depend on the newest kernel. */
export const KERNEL_PACKAGES: Readonly<Record<Variant, string>> = { generic: 'linux-image-amd64', cloud: 'linux-image-cloud-amd64' };

/** Packages whose programs or files are in the ramdisk; the libraries that they depend on are found. */
export const CONTENT_PACKAGES = [
  ...['busybox-static', 'kmod', 'udev', 'ca-certificates', 'libstdc++6'],
  ...['util-linux', 'util-linux-extra', 'mount', 'fdisk', 'e2fsprogs', 'xfsprogs', 'mtools', 'efibootmgr', 'openssh-client'],
  ...['davfs2', 'qemu-utils', 'partclone', 'zstd'],
];

/** Run while the image is made, from their packages: nothing has to be installed, and all build machines use the same. */
export const TOOL_PACKAGES = ['grub-common', 'grub-efi-amd64-bin', 'ipxe', 'shim-signed', 'grub-efi-amd64-signed'];

/** For real hardware; all but the first are in Debian's component non-free-firmware, which the build machine's apt may not know. */
export const FIRMWARE_PACKAGES: Readonly<Record<Variant, readonly string[]>> = {
  generic: ['firmware-linux-free', 'firmware-misc-nonfree', 'firmware-bnx2', 'firmware-bnx2x', 'firmware-qlogic', 'firmware-netronome', 'firmware-cavium', 'firmware-realtek'],
  cloud: [],
};

/** What the agent and the ramdisk's own scripts call, by name; a `*` at the end takes a family. Everything else is busybox. */
export const PROGRAMS = [
  ...['busybox', 'kmod', 'depmod', 'insmod', 'lsmod', 'modinfo', 'modprobe', 'rmmod', 'udevadm'],
  ...['lsblk', 'blkid', 'wipefs', 'blkdiscard', 'blockdev', 'losetup', 'partx', 'mount', 'umount', 'mountpoint', 'fsfreeze', 'fstrim', 'dmesg', 'fdisk', 'sfdisk'],
  ...['dumpe2fs', 'e2fsck', 'tune2fs', 'debugfs', 'xfs_repair', 'xfs_logprint', 'xfs_admin', 'xfs_db', 'mtools', 'mdir', 'mcopy', 'mtype', 'minfo', 'efibootmgr', 'ssh-keygen'],
  ...['mount.davfs', 'umount.davfs', 'qemu-img', 'qemu-nbd', 'partclone.*', 'zstd'],
];

/** Files and directories of packages that programs need besides libraries, below /usr or /etc; directories whole. */
export const DATA_PATHS = [
  ...['usr/lib/systemd/systemd-udevd', 'usr/lib/udev/ata_id', 'usr/lib/udev/scsi_id', 'usr/lib/udev/cdrom_id'],
  ...['50-firmware', '50-udev-default', '60-block', '60-cdrom_id', '60-persistent-storage', '75-net-description', '80-drivers'].map((name) => `usr/lib/udev/rules.d/${name}.rules`),
  ...['etc/davfs2', 'etc/mke2fs.conf', 'usr/share/davfs2', 'usr/lib/modprobe.d/aliases.conf'],
  // mtools reads FAT names in code page 850; davfs2 converts names
  ...['IBM850', 'IBM437', 'ISO8859-1', 'UTF-16', 'UTF-32'].map((name) => `usr/lib/x86_64-linux-gnu/gconv/${name}.so`),
  ...['gconv-modules', 'gconv-modules.d'].map((name) => `usr/lib/x86_64-linux-gnu/gconv/${name}`),
];

/** Loaded by name while a program runs (dlopen), so that no ELF header tells. */
export const LOADED_LIBRARIES = ['libgcc_s.so.1'];
