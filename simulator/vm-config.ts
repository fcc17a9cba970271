import { z } from 'zod';

export const VM_FIRMWARES = ['bios', 'uefi'] as const;
const interfaceName = z.string().regex(/^[A-Za-z0-9._-]{1,15}$/, 'expected the name of a network interface');

/** Makes a machine of the rack a virtual one, run by QEMU without KVM. */
export const vmSchema = z.strictObject({
  memory_mb: z.number().int().min(64).default(1024),
  cpus: z.number().int().min(1).max(16).default(1),
  firmware: z.enum(VM_FIRMWARES).default('bios'),
  /** QEMU's name of the processor model. */
  cpu_model: z.string().regex(/^[A-Za-z0-9_.+-]+$/, 'expected the name of a processor model').default('qemu64'),
  /**
   * `bridge`: every network card is on a tap of its own in this bridge, there while the machine is on. `tap`: the only network
   * card is on this tap, which is there already. Absent: nothing is plugged in.
   */
  network: z.union([z.strictObject({ bridge: interfaceName }), z.strictObject({ tap: interfaceName })], { error: 'expected {"bridge"} or {"tap"}' }).optional(),
  /** What a boot without an override tries, first to last. */
  boot_order: z
    .array(z.enum(['disk', 'network']))
    .min(1)
    .refine((order) => new Set(order).size === order.length, 'expected each device once')
    .default(['disk', 'network']),
  /** An Intel 6300ESB watchdog, which resets the machine. */
  watchdog: z.boolean().default(true),
  /** Where Debian's package ovmf has the UEFI firmware. */
  firmware_directory: z.string().default('/usr/share/OVMF'),
});
export type VmConfig = z.infer<typeof vmSchema>;
export type BootDeviceKind = VmConfig['boot_order'][number];
