import { statesWith } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { overBudget } from '../drivers/snapshot/downtime-budget.ts';
import type { Attendant } from './attendant.ts';
import { retryBootBacks } from './boot-back-retry.ts';
import type { CaptureSlots } from './capture-slots.ts';
import { startDuties } from './duties.ts';
import type { WorkflowParts } from './parts.ts';
import { takeUpOrphans } from './recovery.ts';
import { secondLookupOf } from './second-lookup.ts';
import { isAtCommand, workUnderWay, type WorkUnderWay } from './work-under-way.ts';
import type { Executors } from './work.ts';

/** What is looked at again and again: agents' progress, deadlines, queued snapshots, boot-backs. In maintenance too. */
export function startWatch(parts: WorkflowParts, attendant: Attendant, slots: CaptureSlots, executors: Executors): void {
  const { background, times } = parts;
  background.every('poll agents', times.pollIntervalMs, () => attendant.pollAgents());
  background.every('admit queued snapshots', times.pollIntervalMs, () => admitNext(parts, attendant, slots));
  background.every('check deadlines', times.checkIntervalMs, () => checkDeadlines(parts, attendant));
  background.every('retry boot-backs', times.checkIntervalMs, () => retryBootBacks(parts));
  background.every('take up orphaned work', times.checkIntervalMs, () => takeUpOrphans(parts, executors));
  startDuties(parts, executors);
}

async function admitNext(parts: WorkflowParts, attendant: Attendant, slots: CaptureSlots): Promise<void> {
  const next = await slots.next();
  if (!next) return;
  const node = await parts.db.nodes.get(next.nodeId);
  if (node.provisionState === 'snapshot wait') parts.background.start('admit a snapshot', () => attendant.admit(node.id, next));
}

async function checkDeadlines(parts: WorkflowParts, attendant: Attendant): Promise<void> {
  for (const node of await parts.db.nodes.inStates(statesWith('timed'))) {
    const work = await workUnderWay(parts, node);
    const reason = overdue(parts, node, work);
    if (reason === null || node.reservation !== null) continue;
    parts.background.start('fail an overdue node', () => attendant.failOverdue(node.id, work, (now, nowWork) => overdue(parts, now, nowWork)));
  }
}

/** Why the node has waited long enough, or must not wait any longer; otherwise null. */
function overdue(parts: WorkflowParts, node: NodeRow, work: WorkUnderWay | null): string | null {
  if (work?.row.phase === 'queue') return null;
  const intruded = secondLookupOf(node);
  if (intruded !== null) return intruded;
  const down = work?.kind === 'snapshot' ? overBudget(work.row) : null;
  if (down !== null) return down;
  if (work && isAtCommand(work)) return overdueCommand(parts, work);
  // a snapshot leaves the queue without a change of state; everything else waits from the change on
  const since = work?.kind === 'snapshot' ? work.row.phaseStartedAt : (node.provisionUpdatedAt ?? node.createdAt);
  const { callbackTimeoutMs } = parts.times;
  if (elapsedMs(since) <= callbackTimeoutMs) return null;
  return `The ramdisk did not call back within ${callbackTimeoutMs / 1000} s. Check that the machine boots from the network and reaches the provisioning listener.`;
}

/** What the agent does: for a person, and where its limits are set. */
interface Command {
  what: string;
  limitMs: number;
  key: string;
  deadlineAt: Date | null;
  stallTimeoutMs: number;
}

function overdueCommand(parts: WorkflowParts, work: WorkUnderWay): string | null {
  const { what, limitMs, key, deadlineAt, stallTimeoutMs } = commandOf(parts, work);
  const { progressAt, phaseStartedAt, bytesDone, bytesTotal, step } = work.row;
  if (deadlineAt !== null && Date.now() > deadlineAt.getTime()) return `The ${what} did not end within ${limitMs / 1000} s (${key}).`;
  if (elapsedMs(progressAt ?? phaseStartedAt) <= stallTimeoutMs) return null;
  return `The ${what} stalled: no progress for ${stallTimeoutMs / 1000} s at ${bytesDone ?? 0} of ${bytesTotal ?? 'unknown'} bytes (${step ?? 'no word from the agent'}).`;
}

function commandOf({ limits, operationLimits }: WorkflowParts, work: WorkUnderWay): Command {
  if (work.kind === 'snapshot') return { what: 'capture', limitMs: limits.captureTimeoutMs, key: 'snapshot.capture_timeout_s', deadlineAt: work.row.captureDeadlineAt, stallTimeoutMs: limits.stallTimeoutMs };
  const { kind, deadlineAt } = work.row;
  if (kind === 'clean') return { what: 'cleaning', limitMs: operationLimits.cleanTimeoutMs, key: 'deploy.clean_timeout_s', deadlineAt, stallTimeoutMs: operationLimits.stallTimeoutMs };
  return { what: kind === 'rebuild' ? 'rebuild' : 'deployment', limitMs: operationLimits.writeTimeoutMs, key: 'deploy.write_timeout_s', deadlineAt, stallTimeoutMs: operationLimits.stallTimeoutMs };
}

const elapsedMs = (since: Date): number => Date.now() - since.getTime();
