import { createCpioArchive } from '../protocol/cpio-archive.ts';
import { powerButtonProgram } from './power-button.ts';


/** The marker that a booted disk prints on the serial port. `payload` is `whole` when every file that it takes the digest of is as it was made. */
export const bootMarker = (label: string, payload: 'whole' | 'damaged' = 'whole'): string => `OWN DISK ${label} payload ${payload}`;

/** GRUB's configuration, for BIOS and UEFI: takes the digests, then boots the kernel, which gets to know what came of it. */
export const grubConfig = (label: string): string =>
  [
    'serial --unit=0 --speed=115200',
    'terminal_output serial',
    'set payload=damaged',
    'if hashsum --hash sha256 --check /boot/payload.sha256; then set payload=whole; fi',
    `linux /boot/vmlinuz console=ttyS0,115200n8 quiet panic=10 own.label=${label} own.payload=$payload`,
    'initrd /boot/initrd.img',
    'boot',
    '',
  ].join('\n');

/**
 * The smallest operating system: says on the serial port whose disk has booted, shuts down when the power button is pressed,
 * and obeys lines typed on its console (`reboot`, `poweroff`, `panic`). It mounts no disk and so changes nothing.
 */
const INIT = `#!/bin/busybox sh
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
label= payload= firmware=bios
for word in $($bb cat /proc/cmdline); do
  case $word in own.label=*) label=\${word#*=} ;; own.payload=*) payload=\${word#*=} ;; esac
done
[ ! -d /sys/firmware/efi ] || firmware=uefi
{ /bin/power-button && echo "OWN DISK $label: power button, going down" && $bb poweroff -f; } &
echo
echo "OWN DISK $label payload $payload firmware $firmware"
while :; do
  line=
  read -r line || $bb sleep 1
  case $line in
    reboot) echo "OWN DISK $label: rebooting"; $bb reboot -f ;;
    poweroff) echo "OWN DISK $label: powering off"; $bb poweroff -f ;;
    panic) echo c > /proc/sysrq-trigger ;;
  esac
done
`;

/** The initramfs of this system, around the given statically linked busybox. */
export const ownInitramfs = (busybox: Buffer): Buffer =>
  createCpioArchive([
    { path: 'bin', type: 'directory' },
    { path: 'bin/busybox', type: 'file', mode: 0o755, content: busybox },
    { path: 'bin/power-button', type: 'file', mode: 0o755, content: powerButtonProgram() },
    { path: 'dev', type: 'directory' },
    { path: 'dev/console', type: 'character-device', major: 5, minor: 1 },
    { path: 'init', type: 'file', mode: 0o755, content: INIT },
  ]);
