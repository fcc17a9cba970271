import { UnsupportedInterfaceError } from '../../../protocol/errors.ts';
import type { SnapshotDriver } from '../interfaces.ts';

const REASON = 'the node\'s snapshot interface is "no-snapshot", which takes none; set another one, for example: baremetal node set NODE --snapshot-interface agent';

/** For nodes of which no snapshot shall be taken: every request is refused with the reason. */
export function createNoSnapshot(): SnapshotDriver {
  const refuse = async (task: { node: { driver: string } }): Promise<never> => {
    throw new UnsupportedInterfaceError(`Driver ${task.node.driver} does not support snapshot (disabled or not implemented): ${REASON}`, { kind: 'snapshot', value: 'no-snapshot' });
  };
  return {
    name: 'no-snapshot',
    properties: {},
    unsupported: REASON,
    validate: refuse,
    requestChecks: (task) => ({ supported: () => refuse(task) }),
    snapshot: refuse,
    continueSnapshot: refuse,
    poll: refuse,
    async cleanUp() {}, // nothing was ever begun
  };
}
