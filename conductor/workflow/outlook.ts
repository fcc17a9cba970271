import type { JsonObject } from '../../protocol/json.ts';
import type { NodeRow, OperationRow } from '../db/rows.ts';

/** In `driver_internal_info` of a node whose disk a deployment left with a part of an image; it outlives further attempts, and ends with an image that is whole or with the instance. */
const HALF_WRITTEN = 'half_written_disk';

/** How a server stands after its operation failed. */
export interface Outlook {
  says: string | null;
  /** Once it is seen up again. */
  saysWhenUp: string | null;
  /** What the node is to be known for: what boot-back is to bring about, where that is not what was found. */
  patch: Partial<Pick<NodeRow, 'bootBack' | 'powerStateBefore' | 'driverInternalInfo'>>;
  /** Whether nothing on the server is worth coming back to. */
  forgets: boolean;
  /** Whether an instance is to run on it again, and needs its networks. */
  runsInstance: boolean;
}

/** The same before the row is closed and after, as long as the server is not back: its boot-back may come much later. */
export function outlookOf(operation: OperationRow, node: NodeRow): Outlook {
  const isDown = node.bootBack === 'pending' || node.bootBack === 'failed';
  const wasHalfWritten = node.driverInternalInfo[HALF_WRITTEN] === true;
  const outlook = { says: null, saysWhenUp: null, patch: {}, forgets: false, runsInstance: operation.kind === 'rebuild' };
  if (operation.kind === 'clean') return { ...outlook, forgets: true, runsInstance: false };
  if (!isDown) return operation.image === null ? outlook : { ...outlook, says: wasHalfWritten ? 'The server was not touched; its disk holds a part of the image of an earlier attempt and is not bootable.' : 'The server was not touched.' };
  if (operation.report !== null) {
    return {
      says: 'The image is whole on the disk; only the boot from it failed.',
      saysWhenUp: 'The server was booted from it meanwhile: deploy or rebuild again to have the node active.',
      patch: { bootBack: 'pending', powerStateBefore: 'power on', driverInternalInfo: withoutHalfWritten(node.driverInternalInfo) },
      forgets: false,
      runsInstance: true,
    };
  }
  if (operation.diskTouched || wasHalfWritten) {
    return {
      says: 'The disk may hold a part of the image only and is not bootable: the server is switched off. Deploy or rebuild it again.',
      saysWhenUp: null,
      patch: { bootBack: 'pending', powerStateBefore: 'power off', driverInternalInfo: { ...node.driverInternalInfo, [HALF_WRITTEN]: true } },
      forgets: true,
      runsInstance: false,
    };
  }
  return { ...outlook, says: 'The disk was not touched.', saysWhenUp: 'The server runs from it as before.' };
}

/** For a disk that is whole again, or nobody's any more. */
export function withoutHalfWritten({ [HALF_WRITTEN]: _, ...info }: JsonObject): JsonObject {
  return info;
}

/** What runs on the server has been decided anew: there is nothing to bring it back to any more. */
export const NOTHING_TO_BRING_BACK = { bootBack: null, powerStateBefore: null, powerOffDue: 'none' as const, bootBackAttempts: 0, bootBackNextAt: null };
