/** Tests that a machine may be unable to run. They are skipped with the reason in their name, which scripts/test.mjs prints; a skip without a reason fails there. */
import { existsSync } from 'node:fs';
import { describe } from '@jest/globals';
import { inOwnNetwork } from './rig/run-options.ts';

/** What a machine may lack for good. A missing program is no reason: the set-up installs it, and its test fails loudly. */
const UNMET = {
  root: () => (process.getuid?.() === 0 ? undefined : 'not root'),
  fuse: () => (existsSync('/dev/fuse') ? undefined : 'no /dev/fuse'),
  tun: () => (existsSync('/dev/net/tun') ? undefined : 'no /dev/net/tun'),
  /** Given by scripts/test.mjs to what boots machines, where the machine lets it. */
  'network namespace': () => (process.getuid?.() !== 0 || inOwnNetwork() ? undefined : 'not in a network namespace of its own, which npm run test:system makes by unshare --net'),
  loop: () => (existsSync('/dev/loop-control') ? undefined : 'no /dev/loop-control'),
} as const;
export type MachineNeed = keyof typeof UNMET;

/** `describe` for tests with these needs; where the machine does not meet them, a skipped group whose name says why. */
export function describeWhere(needs: readonly MachineNeed[], name: string, tests: () => void): void {
  const unmet = needs.flatMap((need) => UNMET[need]() ?? []);
  if (unmet.length === 0) describe(name, tests);
  else describe.skip(`${name} [skipped: ${unmet.join(', ')}]`, tests);
}
