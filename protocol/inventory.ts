/** What the agent finds in a machine, in the shape of Ironic's inventory (`GET /v1/nodes/{ident}/inventory`); sizes in bytes. */
import { z } from 'zod';

export const BOOT_MODES = ['bios', 'uefi'] as const;
export type BootMode = (typeof BOOT_MODES)[number];

const name = z.string().nullable();

export const inventorySchema = z.object({
  disks: z.array(
    z.object({
      name: z.string(),
      model: name,
      vendor: name,
      serial: name,
      wwn: name,
      size: z.number(),
      sector_size: z.number(),
      rotational: z.boolean(),
      /** Kernel driver of the controller that the disk hangs on. */
      driver: name,
    }),
  ),
  interfaces: z.array(z.object({ name: z.string(), mac_address: z.string(), driver: name })),
  cpu: z.object({ architecture: z.string(), count: z.number(), model_name: name }),
  memory: z.object({ total: z.number() }),
  system_vendor: z.object({ manufacturer: name, product_name: name, serial_number: name }),
  boot: z.object({ current_boot_mode: z.enum(BOOT_MODES) }),
});
export type Inventory = z.infer<typeof inventorySchema>;
