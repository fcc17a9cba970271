import { IsNull, type EntityManager, type FindOptionsWhere } from 'typeorm';
import { NotFoundError } from '../../protocol/errors.ts';
import type { Step } from '../../state-machine/provision-states.ts';
import { NodeEntity } from './entities/node-entity.ts';
import { insertHistory } from './history-store.ts';
import { columnsOf, type NodePatch } from './node-patch.ts';
import { insertOperation, type NewOperation } from './operation-store.ts';
import { updateRows } from './row-writing.ts';
import type { NodeRow, SnapshotRow } from './rows.ts';
import { insertSnapshot, type NewSnapshot } from './snapshot-store.ts';
import { isUniqueViolation } from './unique-violation.ts';

export interface StepOptions {
  /** The lock must be held under this name. Without it the lock must be free. */
  heldBy?: string;
  /** Let the lock go with the step. */
  release?: boolean;
  patch?: NodePatch;
  history: { conductor: string; user: string; error?: string };
  /** The snapshot that begins with this step. */
  snapshot?: NewSnapshot;
  /** The deployment that begins with this step. */
  operation?: NewOperation;
}

export type StoredStep = { stored: true; node: NodeRow; snapshot?: SnapshotRow } | { stored: false; reason: 'locked' | 'state' | 'holder in use'; node: NodeRow };

/** Another unfinished snapshot has the holder: rolls the step back. */
export class HolderInUse extends Error {}

/** Compare-and-swap of a node's provision state, with its line of history and the snapshot or operation it begins. `manager` is a transaction's. */
export async function swapState(manager: EntityManager, id: number, step: Step, options: StepOptions): Promise<StoredStep> {
  const now = new Date();
  const before = await manager.findOneBy(NodeEntity, { id });
  if (!before) throw new NotFoundError(`Node ${id} could not be found.`);
  const lock = options.heldBy ?? null;
  const where: FindOptionsWhere<NodeRow> = { id, provisionState: step.from, reservation: lock ?? IsNull() };
  const columns = {
    ...columnsOf(options.patch ?? {}),
    provisionState: step.to,
    targetProvisionState: step.target,
    provisionUpdatedAt: now,
    updatedAt: now,
    ...(options.release ? { reservation: null } : {}),
  };
  const swapped = await updateRows(manager, NodeEntity, where, columns);
  const node = await manager.findOneByOrFail(NodeEntity, { id });
  if (swapped !== 1) return { stored: false, reason: node.reservation === lock ? 'state' : 'locked', node };
  await insertHistory(manager, {
    nodeId: id,
    conductor: options.history.conductor,
    user: options.history.user,
    eventType: 'provisioning',
    severity: options.history.error === undefined ? 'INFO' : 'ERROR',
    event: describeStep(step, before, now, options.history.error),
  });
  if (options.operation) await insertOperation(manager, id, options.operation);
  if (!options.snapshot) return { stored: true, node };
  const snapshot = await insertSnapshot(manager, id, options.snapshot).catch((error: unknown) => {
    throw isUniqueViolation(error) ? new HolderInUse('an unfinished snapshot has this image as its target', { cause: error }) : error;
  });
  return { stored: true, node, snapshot };
}

function describeStep(step: Step, before: NodeRow, now: Date, error: string | undefined): string {
  const since = before.provisionUpdatedAt ?? before.createdAt;
  const durationS = Math.max(0, (now.getTime() - since.getTime()) / 1_000).toFixed(1);
  return `${step.from} -> ${step.to} by "${step.event}" after ${durationS} s in ${step.from}${error === undefined ? '' : `: ${error}`}`;
}
