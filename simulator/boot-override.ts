import { z } from 'zod';
import type { Faults } from './faults.ts';

export const BOOT_TARGETS = ['None', 'Pxe', 'Hdd', 'Cd'] as const;
export const OVERRIDE_ENABLED = ['Disabled', 'Once', 'Continuous'] as const;
export const BOOT_MODES = ['UEFI', 'Legacy'] as const;
export type BootTarget = Exclude<(typeof BOOT_TARGETS)[number], 'None'>;

/** What a PATCH may say about `Boot` (Redfish ComputerSystem schema). */
export const bootPatchSchema = z.strictObject({
  BootSourceOverrideTarget: z.enum(BOOT_TARGETS).optional(),
  BootSourceOverrideEnabled: z.enum(OVERRIDE_ENABLED).optional(),
  BootSourceOverrideMode: z.enum(BOOT_MODES).optional(),
});
export type BootPatch = z.infer<typeof bootPatchSchema>;

/** The boot source override of a machine; without one it boots from its own disk. */
export class BootOverride {
  target: (typeof BOOT_TARGETS)[number] = 'None';
  enabled: (typeof OVERRIDE_ENABLED)[number] = 'Disabled';
  mode: (typeof BOOT_MODES)[number] = 'UEFI';

  apply(patch: BootPatch, faults: Readonly<Faults>): void {
    this.mode = patch.BootSourceOverrideMode ?? this.mode;
    this.target = patch.BootSourceOverrideTarget ?? this.target;
    this.enabled = patch.BootSourceOverrideEnabled ?? this.enabled;
    if (this.enabled === 'Once' && faults.ignores_once) this.enabled = 'Continuous';
    if (this.enabled === 'Disabled') this.target = 'None';
  }

  /** The target of a boot that begins now, without an override `otherwise`; `Once` is used up by it. */
  takeForBoot(otherwise: BootTarget = 'Hdd'): BootTarget {
    const target = this.enabled === 'Disabled' || this.target === 'None' ? otherwise : this.target;
    if (this.enabled === 'Once') {
      this.enabled = 'Disabled';
      this.target = 'None';
    }
    return target;
  }
}
