/**
 * How the conductor tells a ramdisk what it is to know: by its kernel's command line (what differs from boot to boot) and by
 * a small initramfs on top of the big one (what is the same for all machines of a conductor).
 */
import { z } from 'zod';

/** In the small initramfs: the ramdisk's settings, JSON. */
export const RAMDISK_CONFIG_PATH = '/etc/metalshot/ramdisk.json';
/** In the small initramfs: PEM of what the conductor's certificate is checked against; absent with plain http or a public authority. */
export const RAMDISK_CA_PATH = '/etc/metalshot/conductor-ca.pem';

/** Names of kernel parameters; the first two are Ironic's, as is BOOTIF (PXELINUX, iPXE). */
export const KERNEL_PARAMETERS = {
  apiUrl: 'ipa-api-url',
  bootInterface: 'BOOTIF',
  /** Proves to the lookup that this ramdisk was booted by what the conductor handed out for this boot. */
  bootNonce: 'metalshot-boot-nonce',
  /** VLAN tag of the provisioning network on the interface that booted. */
  vlan: 'metalshot-vlan',
  /** `ADDRESS/PREFIX[,GATEWAY]` for networks without DHCP. */
  address: 'metalshot-ip',
  /** Present: a shell on the console. */
  rescueShell: 'metalshot-shell',
} as const;

/** Header of a lookup: the nonce of the boot. Never part of the URL, which logs keep. */
export const BOOT_NONCE_HEADER = 'X-Metalshot-Boot-Nonce';

/** Durations in seconds. */
export const ramdiskConfigSchema = z.strictObject({
  /** Without a word taken by the conductor (lookup, heartbeat) for so long, the machine is booted from its own disk. */
  conductor_silence_timeout_s: z.number().positive().default(900),
  /** Without a command under way for so long, too. */
  idle_timeout_s: z.number().positive().default(1_800),
  /** A hardware or software watchdog resets the machine when the agent has not been able to run for so long; 0: none. */
  watchdog_timeout_s: z.number().int().min(0).max(600).default(120),
});
export type RamdiskConfig = z.infer<typeof ramdiskConfigSchema>;
