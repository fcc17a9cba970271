import { deadline } from '../../protocol/deadline.ts';
import { MetalshotError, messageOf } from '../../protocol/errors.ts';
import type { NodeRow } from '../db/rows.ts';
import type { RamdiskPresence } from '../drivers/interfaces.ts';
import type { WorkflowParts } from './parts.ts';
import type { WorkUnderWay } from './work-under-way.ts';

const ANSWER_TIMEOUT_MS = 10_000;

/**
 * What runs on a machine that was powered on for the ramdisk. The ramdisk goes back to the server's own disk by itself when
 * the conductor is silent, when nothing is asked of it, when its kernel panics or its watchdog is not fed: so only an agent
 * that answers is known to be there, and one that was heard of so shortly ago that nothing else can have been booted since.
 * Neither counts once the boot script was asked for again: the machine that asked has its own disk, and who answers may be
 * another one that took its place.
 */
export async function ramdiskPresence(parts: WorkflowParts, node: Readonly<NodeRow>, work: WorkUnderWay | null): Promise<RamdiskPresence> {
  const agentAnswers = node.agentUrl !== null && node.agentToken !== null && (await answers(parts, node));
  const { ramdiskBoot } = await parts.db.nodes.get(node.id); // boot files are asked for at any time, whoever has the lock
  if (ramdiskBoot === 'left') return 'perhaps gone';
  if (agentAnswers) return 'answers';
  const heardAt = node.agentLastHeartbeatAt ?? poweredOnAt(work);
  return heardAt !== null && Date.now() - heardAt.getTime() < parts.times.ramdiskLeaveMs ? 'silent' : 'perhaps gone';
}

/** It is asked about a command that it cannot know. */
async function answers(parts: WorkflowParts, node: Readonly<NodeRow>): Promise<boolean> {
  try {
    await parts.agent.status(node, node.uuid, deadline(ANSWER_TIMEOUT_MS, parts.background.signal));
    return true;
  } catch (error) {
    parts.log.info({ node: node.uuid, error: messageOf(error) }, 'agent does not answer'); // told by the return value
    return error instanceof MetalshotError && typeof error.data['status'] === 'number' && error.data['status'] < 500;
  }
}

/** Of a ramdisk that never called; null where it did, or where its work is not known. */
const poweredOnAt = (work: WorkUnderWay | null): Date | null => (work?.row.phase === 'power on' || work?.row.phase === 'await ramdisk' ? work.row.phaseStartedAt : null);
