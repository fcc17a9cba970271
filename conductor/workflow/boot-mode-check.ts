import type { BootMode } from '../../protocol/inventory.ts';
import type { PlanCheck } from '../../protocol/plan.ts';
import { declaredBootMode } from '../drivers/boot-mode.ts';

/**
 * Whether the image boots by the firmware mode that the machine is in. What the ramdisk saw when it last ran counts most;
 * the node's capability `boot_mode` (Ironic's way to say it) tells of a machine that was switched over since.
 * @param properties the node's, with its capabilities in either of Ironic's forms.
 */
export function checkBootMode(needed: BootMode | null, seen: BootMode | null, properties: Readonly<Record<string, unknown>>): PlanCheck {
  const declared = declaredBootMode(properties);
  const found = seen ?? declared;
  const base = { name: 'boot_mode', expected: needed, found };
  if (needed === null) return { ...base, result: 'warn', message: 'The image does not say whether it boots by BIOS or UEFI; set its property hw_firmware_type to have it compared.' };
  if (found === null) return { ...base, result: 'warn', message: `The image boots by ${NAMES[needed]}; the machine's mode is not known yet. Make sure that its firmware is set to ${NAMES[needed]}.` };
  if (found === needed) return { ...base, result: 'pass', message: `Image and machine boot by ${NAMES[needed]}.` };
  if (declared === needed) return { ...base, result: 'warn', message: `The machine ran in ${NAMES[found]} mode when its ramdisk last looked, but the node's capabilities say ${NAMES[declared]} as the image needs: make sure that its firmware is set to that.` };
  return { ...base, result: 'fail', message: `The image boots by ${NAMES[needed]}, the machine by ${NAMES[found]}: it would not start. Set its firmware to ${NAMES[needed]} and say so with the node's capability boot_mode:${needed}, or choose another image or machine.` };
}

const NAMES: Readonly<Record<BootMode, string>> = { bios: 'BIOS', uefi: 'UEFI' };
