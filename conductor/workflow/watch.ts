import { hasTag, statesWith } from '../../state-machine/provision-states.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import type { Attendant } from './attendant.ts';
import { retryBootBacks } from './boot-back.ts';
import type { CaptureSlots } from './capture-slots.ts';
import type { WorkflowParts } from './parts.ts';

/** What is looked at again and again: agents' progress, deadlines, queued snapshots, boot-backs. In maintenance too. */
export function startWatch(parts: WorkflowParts, attendant: Attendant, slots: CaptureSlots): void {
  const { background, times } = parts;
  background.every('poll streaming agents', times.pollIntervalMs, () => attendant.pollStreaming());
  background.every('admit queued snapshots', times.pollIntervalMs, () => admitNext(parts, attendant, slots));
  background.every('check deadlines', times.checkIntervalMs, () => checkDeadlines(parts, attendant));
  background.every('retry boot-backs', times.checkIntervalMs, () => retryBootBacks(parts));
}

async function admitNext(parts: WorkflowParts, attendant: Attendant, slots: CaptureSlots): Promise<void> {
  const next = await slots.next();
  if (!next) return;
  const node = await parts.db.nodes.get(next.nodeId);
  if (node.provisionState === 'snapshot wait') parts.background.start('admit a snapshot', () => attendant.admit(node.id, next));
}

async function checkDeadlines(parts: WorkflowParts, attendant: Attendant): Promise<void> {
  for (const node of await parts.db.nodes.inStates(statesWith('timed'))) {
    const snapshot = hasTag(node.provisionState, 'powerRefused') ? await parts.db.snapshots.unfinishedOf(node.id) : null;
    const reason = overdue(parts, node, snapshot);
    if (reason !== null && node.reservation === null) parts.background.start('fail an overdue node', () => attendant.fail(node.id, reason, snapshot));
  }
}

/** Why the node has waited long enough, or null. */
function overdue(parts: WorkflowParts, node: NodeRow, snapshot: SnapshotRow | null): string | null {
  const now = Date.now();
  const { callbackTimeoutMs } = parts.times;
  const waitedSince = (since: Date | null): number => now - (since ?? node.createdAt).getTime();
  const ramdiskSilent = `The ramdisk did not call back within ${callbackTimeoutMs / 1000} s. Check that the machine boots from the network and reaches the provisioning listener.`;
  if (!snapshot) return waitedSince(node.provisionUpdatedAt) > callbackTimeoutMs ? ramdiskSilent : null;
  if (snapshot.phase === 'queue') return null;
  if (snapshot.phase !== 'streaming') return waitedSince(snapshot.phaseStartedAt) > callbackTimeoutMs ? ramdiskSilent : null;
  if (snapshot.captureDeadlineAt !== null && now > snapshot.captureDeadlineAt.getTime()) return `The capture did not end within ${parts.limits.captureTimeoutMs / 1000} s (snapshot.capture_timeout_s).`;
  if (waitedSince(snapshot.progressAt ?? snapshot.phaseStartedAt) > parts.limits.stallTimeoutMs) {
    return `The capture stalled: no progress for ${parts.limits.stallTimeoutMs / 1000} s at ${snapshot.bytesDone ?? 0} of ${snapshot.bytesTotal ?? 'unknown'} bytes (${snapshot.step ?? 'no word from the agent'}).`;
  }
  return null;
}
