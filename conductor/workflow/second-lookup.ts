import { OperationFailedError } from '../../protocol/errors.ts';
import type { NodeRow } from '../db/rows.ts';

/** Stands where the hash of the boot's nonce was: no nonce matches it any more, and the work under way sees it wherever it goes on, after a restart too. */
const MARK = 'second lookup from ';

export const markSecondLookup = (peer: string): Pick<NodeRow, 'bootNonceHash'> => ({ bootNonceHash: `${MARK}${peer}` });

/** Why the work under way has to fail, when two machines have looked themselves up as this node within one boot; otherwise null. */
export function secondLookupOf({ bootNonceHash }: Readonly<NodeRow>): string | null {
  if (!bootNonceHash?.startsWith(MARK)) return null;
  return `A second machine (${bootNonceHash.slice(MARK.length)}) looked itself up as this node within one boot, with what only its own ramdisk can know: one of the two is not this node's, and nothing that came of this boot can be trusted. Find out who else is on the provisioning network before trying again; a boot by virtual media hands nothing out over the network.`;
}

/** @throws OperationFailedError with the reason. */
export function refuseSecondLookup(node: Readonly<NodeRow>): void {
  const reason = secondLookupOf(node);
  if (reason !== null) throw new OperationFailedError(reason);
}
