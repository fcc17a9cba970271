import type { Inventory } from '../../protocol/inventory.ts';
import type { BootEntries } from './boot-entries.ts';

/** What a machine is, its disks aside. */
export interface Hardware {
  /** @throws MetalshotError when this machine's hardware may not be looked at. */
  facts(): Promise<Omit<Inventory, 'disks'>>;
  /** The firmware's boot entries; null where they cannot be changed. */
  readonly bootEntries: BootEntries | null;
}
