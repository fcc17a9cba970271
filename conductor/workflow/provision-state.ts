import { InvalidParameterError, InvalidStateError, NodeLockedError } from '../../protocol/errors.ts';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import { stepFrom, type Step } from '../../state-machine/provision-states.ts';
import type { NodePatch } from '../db/node-store.ts';
import type { NewOperation } from '../db/operation-store.ts';
import type { NodeRow, SnapshotRow } from '../db/rows.ts';
import type { NewSnapshot } from '../db/snapshot-store.ts';
import type { WorkflowParts } from './parts.ts';

export interface ChangeOptions {
  user: string;
  /** Whether the change is made under the lock that we hold; without it the lock must be free. */
  lock: 'held' | 'none';
  /** Let go of the lock with the change. */
  release?: boolean;
  patch?: NodePatch;
  /** Why, when the event tells of a failure; becomes `last_error` and stands in the history. */
  error?: string;
  snapshot?: NewSnapshot;
  operation?: NewOperation;
}

export interface Change {
  step: Step;
  node: NodeRow;
  snapshot: SnapshotRow | undefined;
}

/**
 * The one function that changes a node's `provision_state`: it asks the machine, and stores the step by compare-and-swap
 * on state and lock, with its history line and the row of the snapshot or deployment that begins, in one transaction.
 * @throws InvalidStateError when the machine, or the row by now, does not allow the event; NodeLockedError; InvalidParameterError when the image holder is taken.
 */
export async function changeProvisionState(parts: WorkflowParts, node: NodeRow, event: ProvisionEvent, options: ChangeOptions): Promise<Change> {
  const step = stepFrom(node.provisionState, event, node.targetProvisionState);
  if (!step) throw new InvalidStateError(event.type, node.uuid, node.provisionState);
  const stored = await parts.db.nodes.storeStep(node.id, step, {
    ...(options.lock === 'held' ? { heldBy: parts.host } : {}),
    release: options.release ?? false,
    patch: { ...options.patch, ...(options.error === undefined ? {} : { lastError: options.error }) },
    history: { conductor: parts.host, user: options.user, ...(options.error === undefined ? {} : { error: options.error }) },
    ...(options.snapshot ? { snapshot: options.snapshot } : {}),
    ...(options.operation ? { operation: options.operation } : {}),
  });
  if (stored.stored) {
    parts.log.info({ node: node.uuid, from: step.from, event: step.event, to: step.to, user: options.user, error: options.error }, 'provision state changed');
    return { step, node: stored.node, snapshot: stored.snapshot };
  }
  switch (stored.reason) {
    case 'locked':
      throw new NodeLockedError(node.uuid, stored.node.reservation ?? 'another request');
    case 'state':
      throw new InvalidStateError(event.type, node.uuid, stored.node.provisionState);
    case 'holder in use':
      throw new InvalidParameterError(`Image ${options.snapshot?.disks.map((disk) => disk.imageRef).join(', ')} is already the target of another unfinished snapshot; create another image to receive this one.`);
  }
}
