import { INTERFACE_KINDS, type InterfaceKind } from '../../../../conductor/db/rows.ts';
import type { NewNode } from '../../../../conductor/db/node-store.ts';

/** A node as small as a node may be. */
export const newNode = (more: Partial<NewNode> = {}): NewNode => ({
  driver: 'fake-hardware',
  interfaces: Object.fromEntries(INTERFACE_KINDS.map((kind) => [kind, kind === 'network' ? 'noop' : 'fake'])) as Record<InterfaceKind, string>,
  ...more,
});
