import type { NodeRow } from './rows.ts';

/** Written by storeStep, reserve and release only. */
const GUARDED = ['provisionState', 'targetProvisionState', 'provisionUpdatedAt', 'reservation'] as const;
const FIXED = ['id', 'uuid', 'createdAt', 'updatedAt'] as const;

export type NodePatch = Partial<Omit<NodeRow, (typeof GUARDED)[number] | (typeof FIXED)[number]>>;

/** The columns to set. TypeScript already refuses the guarded ones in a literal; this refuses them in an object that carries more than its type says. */
export function columnsOf(patch: NodePatch): NodePatch {
  const refused = [...GUARDED, ...FIXED].filter((column) => column in patch);
  if (refused.length > 0) throw new Error(`a patch of a node must not name ${refused.join(', ')}: a provision state changes by storeStep, the lock by reserve and release`);
  return patch;
}
