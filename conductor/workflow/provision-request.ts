import { randomUUID } from 'node:crypto';
import { SNAPSHOT_OPTION_NAMES, type SnapshotOptions } from '../../protocol/capture.ts';
import { ForbiddenError, InvalidParameterError, InvalidStateError, NodeLockedError, UnsupportedInterfaceError, messageOf } from '../../protocol/errors.ts';
import { isDestination, parseImageRef } from '../../protocol/image-ref.ts';
import { VERB_EVENTS, type ProvisionRequest, type Verb } from '../../protocol/provision.ts';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import { hasTransition } from '../../state-machine/provision-states.ts';
import type { NodePatch } from '../db/node-store.ts';
import type { NewOperation } from '../db/operation-store.ts';
import type { NodeRow } from '../db/rows.ts';
import type { NewSnapshot } from '../db/snapshot-store.ts';
import type { SnapshotRequest } from '../drivers/interfaces.ts';
import { bootBack, latestSnapshotWork, noteFailedBootBack } from './boot-back.ts';
import { newDeployment } from './deployment-request.ts';
import { driverTask } from './driver-task.ts';
import { retryWhileLocked, takeLock } from './lock.ts';
import type { WorkflowParts } from './parts.ts';
import { changeProvisionState } from './provision-state.ts';
import { carryOut, type Executors } from './work.ts';
import type { Caller } from './workflow.ts';

/** What a verb brings along once its own arguments are found good. */
interface VerbArguments {
  patch?: NodePatch;
  snapshot?: NewSnapshot;
  operation?: NewOperation;
}

const REQUEST_CHECK_TIMEOUT_MS = 60_000;

/**
 * A provision verb in Ironic's order: maintenance and protection, the lock (409), the state (400), the verb's own arguments
 * (400), then the new state is stored under the lock, and the work begins.
 */
export async function requestProvision(parts: WorkflowParts, executors: Executors, node: NodeRow, verb: Verb, request: ProvisionRequest, caller: Caller): Promise<void> {
  refuseMaintenance(node, verb);
  const checked = await retryWhileLocked(parts, () => refuseLockedOrWrongState(parts, node, verb));
  const args = await checkArguments(parts, checked, verb, request, caller);
  await retryWhileLocked(parts, async () => {
    const locked = await takeLock(parts, node.uuid);
    let begun = false;
    try {
      begun = await begin(locked);
    } finally {
      if (!begun) await parts.db.nodes.release(node.id, parts.host);
    }
  });

  /** Under the lock. @returns whether the work has the lock from now on. */
  async function begin(current: NodeRow): Promise<boolean> {
    if (verb === 'abort' && current.provisionState === 'snapshot failed' && !isBootedBack(current)) {
      abortAfterBootBack(parts, current, caller);
      return true;
    }
    refuseMaintenance(current, verb);
    refuseWrongState(current, verb);
    // the checks took their time, and nobody was kept from changing the node meanwhile
    const { patch, snapshot, operation } = isUnchanged(checked, current) ? args : await checkArguments(parts, current, verb, request, caller);
    const event: ProvisionEvent = verb === 'abort' ? { type: 'abort', bootedBack: isBootedBack(current) } : { type: VERB_EVENTS[verb] };
    const error = verb === 'abort' && current.provisionState !== 'snapshot failed' ? `By request of ${caller.user}, the operation in state "${current.provisionState}" was aborted.` : undefined;
    const change = await changeProvisionState(parts, current, event, {
      user: caller.user,
      lock: 'held',
      patch: { lastError: null, ...patch },
      ...(error === undefined ? {} : { error }),
      ...(snapshot ? { snapshot } : {}),
      ...(operation ? { operation } : {}),
    });
    parts.background.start(`${verb} ${node.uuid}`, () => carryOut(executors, { parts, node: change.node, user: caller.user }, change.step.intentions));
    return true;
  }
}

const isUnchanged = (before: NodeRow, now: NodeRow): boolean => before.updatedAt?.getTime() === now.updatedAt?.getTime();

const isBootedBack = (node: NodeRow): boolean => node.bootBack !== 'pending' && node.bootBack !== 'failed';

function refuseMaintenance(node: NodeRow, verb: Verb): void {
  if (node.maintenance && ['active', 'deploy', 'rebuild', 'snapshot'].includes(verb)) {
    throw new InvalidParameterError(`The ${verb} operation can't be performed on node ${node.uuid} because it's in maintenance mode.`);
  }
  if (node.retired && verb === 'provide') throw new InvalidParameterError(`The provide operation can't be performed on node ${node.uuid} because it is retired.`);
  if (node.protected && ['rebuild', 'deleted', 'undeploy'].includes(verb)) throw new ForbiddenError(`Node ${node.uuid} is protected: unset that first to ${verb === 'rebuild' ? 'rebuild' : 'undeploy'} it.`);
}

async function refuseLockedOrWrongState(parts: WorkflowParts, { id }: NodeRow, verb: Verb): Promise<NodeRow> {
  const node = await parts.db.nodes.get(id);
  if (node.reservation !== null) throw new NodeLockedError(node.uuid, node.reservation);
  refuseWrongState(node, verb);
  return node;
}

function refuseWrongState(node: NodeRow, verb: Verb): void {
  if (!hasTransition(node.provisionState, VERB_EVENTS[verb])) throw new InvalidStateError(verb, node.uuid, node.provisionState);
}

async function checkArguments(parts: WorkflowParts, node: NodeRow, verb: Verb, request: ProvisionRequest, caller: Caller): Promise<VerbArguments> {
  const drivers = parts.hardware.driversFor(node);
  if (request.clean_steps && verb !== 'clean') throw new InvalidParameterError('"clean_steps" is only valid when setting target provision state to clean');
  switch (verb) {
    case 'clean': {
      if (!request.clean_steps || request.clean_steps.length === 0) throw new InvalidParameterError('"clean_steps" is required when setting target provision state to clean');
      const unknown = request.clean_steps.map((step) => `${step.interface}.${step.step}`).filter((name) => !drivers.deploy.cleanSteps.includes(name));
      if (unknown.length > 0) throw new InvalidParameterError(`clean_steps: ${unknown.join(', ')} not known to this node; it knows ${drivers.deploy.cleanSteps.join(', ') || 'none'}.`);
      return { patch: { driverInternalInfo: { ...node.driverInternalInfo, clean_steps: request.clean_steps as never } } };
    }
    case 'provide': {
      const { clean_steps: _, ...driverInternalInfo } = node.driverInternalInfo;
      return { patch: { driverInternalInfo } };
    }
    case 'active':
    case 'deploy':
    case 'rebuild': {
      const { instanceInfo, operation } = await newDeployment(parts, node, verb === 'rebuild' ? 'rebuild' : 'deploy', request, caller);
      return { patch: { instanceInfo }, operation };
    }
    case 'snapshot':
      return { snapshot: await newSnapshot(parts, node, request, caller) };
    default:
      return {};
  }
}

/** @throws InvalidParameterError unless `image_ref` is a UUID, or the URL of a place that the caller may have written to. */
export function snapshotRequest(request: ProvisionRequest, caller: Caller): SnapshotRequest {
  const { image_ref: imageRef } = request;
  if (imageRef === undefined || imageRef === null) throw new InvalidParameterError('image_ref: required with the target "snapshot": the UUID of the precreated image that receives the data, or a file, https or s3 URL.');
  const { kind, ref } = parseImageRef(imageRef);
  if (kind !== 'image' && caller.scope === 'project' && caller.access !== 'admin') throw new InvalidParameterError('image_ref: places outside the image service are for administrators: name an image of your project.');
  return { imageRef: ref, options: snapshotOptionsOf(request), projectId: caller.projectId, ...(caller.access === 'admin' && caller.scope !== undefined ? { anyOwner: true } : {}) };
}

const snapshotOptionsOf = (request: ProvisionRequest): SnapshotOptions =>
  Object.fromEntries(SNAPSHOT_OPTION_NAMES.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])));

async function newSnapshot(parts: WorkflowParts, node: NodeRow, request: ProvisionRequest, caller: Caller): Promise<NewSnapshot> {
  const { snapshot, power, management, boot, network } = parts.hardware.driversFor(node);
  if (snapshot.unsupported !== undefined) throw new UnsupportedInterfaceError(`Node ${node.uuid} can not be snapshotted: ${snapshot.unsupported}`, { interface: 'snapshot', value: snapshot.name });
  const checked = snapshotRequest(request, caller);
  const task = await driverTask(parts, node, REQUEST_CHECK_TIMEOUT_MS);
  for (const driver of [power, management, boot, network]) await driver.validate(task);
  for (const check of Object.values(snapshot.requestChecks(task, checked))) await check();
  if (await parts.db.snapshots.holderInUse(checked.imageRef)) throw new InvalidParameterError(`Image ${checked.imageRef} is already the target of another unfinished snapshot; name another one to receive this one.`);
  const options = snapshot.effectiveOptions?.(task, checked.options ?? {}) ?? checked.options ?? {};
  const uuid = randomUUID();
  const name = isDestination(checked.imageRef) ? uuid : checked.imageRef; // on the share, where a URL is no name
  return { uuid, requestedBy: caller.user, options, disks: [{ imageRef: checked.imageRef, imageName: `${name}-snapshot.qcow2` }] };
}

/** `active` is reported only when the server runs as before: first the boot-back, in the background, then the transition. */
function abortAfterBootBack(parts: WorkflowParts, found: NodeRow, caller: Caller): void {
  parts.background.start(`abort ${found.uuid}`, async () => {
    let node = await parts.db.nodes.get(found.id);
    try {
      node = await bootBack(parts, node, await latestSnapshotWork(parts, node.id));
      await changeProvisionState(parts, node, { type: 'abort', bootedBack: true }, { user: caller.user, lock: 'held', patch: { lastError: null } });
    } catch (error) {
      parts.log.error({ node: node.uuid, error: messageOf(error) }, 'abort could not bring the server back');
      await noteFailedBootBack(parts, node, error);
    } finally {
      await parts.db.nodes.release(node.id, parts.host);
    }
  });
}
