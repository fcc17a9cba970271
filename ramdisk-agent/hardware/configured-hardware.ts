import { z } from 'zod';
import { BOOT_MODES, type Inventory } from '../../protocol/inventory.ts';
import type { Hardware } from './hardware.ts';

const fact = z.string().nullable().default(null);

/** A machine as the configuration describes it, where the disks are named there too. */
export const hardwareConfigSchema = z.strictObject({
  boot_mode: z.enum(BOOT_MODES).default('bios'),
  disk_driver: fact,
  interface_driver: fact,
  memory_bytes: z.number().int().nonnegative().default(0),
  cpu: z.strictObject({ architecture: z.string().default('x86_64'), count: z.number().int().positive().default(1), model_name: fact }).prefault({}),
  system_vendor: z.strictObject({ manufacturer: fact, product_name: fact, serial_number: fact }).prefault({}),
});
export type HardwareConfig = z.infer<typeof hardwareConfigSchema>;

/** A simulated machine: nothing of the host is told as the machine's, and the host's firmware is never touched. */
export class ConfiguredHardware implements Hardware {
  readonly bootEntries = null;
  readonly #facts: Omit<Inventory, 'disks'>;

  constructor(config: HardwareConfig, addresses: readonly string[]) {
    this.#facts = {
      interfaces: addresses.map((address, index) => ({ name: `eth${index}`, mac_address: address, driver: config.interface_driver })),
      cpu: config.cpu,
      memory: { total: config.memory_bytes },
      system_vendor: config.system_vendor,
      boot: { current_boot_mode: config.boot_mode },
    };
  }

  facts(): Promise<Omit<Inventory, 'disks'>> {
    return Promise.resolve(this.#facts);
  }
}
