import type { BootMode } from '../../protocol/inventory.ts';
import { capabilityOf } from './capabilities.ts';

/** The firmware mode that a node's `properties` declare by the capability `boot_mode`. Null: they say nothing. */
export function declaredBootMode(properties: Readonly<Record<string, unknown>>): BootMode | null {
  const mode = capabilityOf(properties['capabilities'], 'boot_mode');
  return mode === 'bios' || mode === 'uefi' ? mode : null;
}
