import { isDeepStrictEqual } from 'node:util';
import { ConflictError, InvalidParameterError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { NodePatch } from '../db/node-store.ts';
import { INTERFACE_KINDS, type InterfaceKind, type NodeRow } from '../db/rows.ts';
import type { ApiDependencies } from './dependencies.ts';
import { applyJsonPatch, fieldOf, type JsonPatch } from './json-patch.ts';
import { requireVersion } from './microversion.ts';
import { checkPatchedDocument, documentOf, interfacesIn, PATCHABLE } from './node-document.ts';

/** States on the way to another in which a node may be changed all the same (Ironic's UPDATE_ALLOWED, and our failed one). */
const CHANGEABLE: readonly ProvisionState[] = ['adopt failed', 'clean failed', 'deploy failed', 'snapshot failed', 'error', 'verifying'];
/** States in which Ironic lets interfaces and an existing resource class change. */
const REBUILDABLE: readonly ProvisionState[] = ['enroll', 'manageable', 'available'];
/** The snapshot interface touches nothing of a running server: also while it is in use. */
const SNAPSHOT_INTERFACE: readonly ProvisionState[] = [...REBUILDABLE, 'active', 'snapshot failed'];

/** What can be said of a patch without the node. @throws InvalidParameterError for a read-only or unknown field; NotAcceptableError for one that is too new. */
export function checkPatchFields(patch: JsonPatch, minor: number): void {
  for (const operation of patch) {
    const field = PATCHABLE.get(fieldOf(operation));
    if (!field) throw new InvalidParameterError(`Cannot patch ${operation.path}. Only the following can be updated: ${[...PATCHABLE.values()].filter(({ since }) => since <= minor).map(({ name }) => name).join(', ')}`, { path: operation.path });
    requireVersion(minor, field.since, `Field ${field.name}`);
  }
}

/**
 * The columns that a patch changes. The node's row must have been read under its lock.
 * @throws InvalidParameterError (400) for what this node cannot become in its state; ConflictError while a transition is in progress or the instance would be replaced.
 */
export function changesOf(deps: ApiDependencies, node: NodeRow, patch: JsonPatch, options: { resetInterfaces: boolean }): NodePatch {
  refuseInTransition(node, patch);
  const before = documentOf(node);
  const after = checkPatchedDocument(applyJsonPatch(before, patch));
  const changes: NodePatch = {};
  for (const [name, field] of PATCHABLE) {
    if (!isDeepStrictEqual(after[name], before[name])) Object.assign(changes, field.write?.(after[name] ?? null));
  }
  const interfaces = interfacesAfter(deps, node, after, patch, changes, options.resetInterfaces);
  return { ...settleReasons(node, changes), ...(interfaces ? { interfaces } : {}) };
}

function refuseInTransition(node: NodeRow, patch: JsonPatch): void {
  const [only] = patch;
  if (node.maintenance && patch.length === 1 && only?.op === 'remove' && only.path === '/instance_uuid') return;
  if (hasTag(node.provisionState, 'powerRefused')) throw new ConflictError(`Node ${node.uuid} can not be updated while a snapshot is under way; wait for its end or abort it.`);
  if (node.targetProvisionState !== null && !CHANGEABLE.includes(node.provisionState)) throw new ConflictError(`Node ${node.uuid} can not be updated while a state transition is in progress.`);
}

/** The interfaces after the patch, or undefined when neither they nor the driver change. Missing ones get the hardware type's default. */
function interfacesAfter(deps: ApiDependencies, node: NodeRow, after: JsonObject, patch: JsonPatch, changes: NodePatch, reset: boolean): Record<InterfaceKind, string> | undefined {
  const driver = changes.driver ?? node.driver;
  if (reset && changes.driver === undefined) throw new InvalidParameterError("The reset_interfaces parameter can only be used when changing the node's driver.");
  const named = interfacesIn(after);
  const patched = new Set(patch.map(fieldOf));
  const wanted = reset ? Object.fromEntries(Object.entries(named).filter(([kind]) => patched.has(`${kind}_interface`))) : named;
  const changed = INTERFACE_KINDS.filter((kind) => named[kind] !== node.interfaces[kind]);
  const group = changes.conductorGroup ?? node.conductorGroup;
  if (changes.conductorGroup !== undefined) refuseForeignGroup(deps, driver, group);
  if (changed.length === 0 && changes.driver === undefined) return undefined;
  for (const kind of changed) {
    const allowed = kind === 'snapshot' ? SNAPSHOT_INTERFACE : REBUILDABLE;
    if (!node.maintenance && !allowed.includes(node.provisionState)) refuseState(node, `${kind}_interface`, allowed, ' or in maintenance mode');
  }
  return deps.hardware.resolveInterfaces(driver, wanted, group);
}

/** @throws InvalidParameterError in Ironic's words: no conductor of that group is known. */
export function refuseForeignGroup(deps: ApiDependencies, driver: string, group: string): void {
  if (group.toLowerCase() === deps.config.conductorGroup.toLowerCase()) return;
  throw new InvalidParameterError(`No valid host was found. Reason: No conductor service registered which supports driver ${driver} for conductor group "${group}".`);
}

/** Fields that depend on each other. */
function settleReasons(node: NodeRow, changes: NodePatch): NodePatch {
  const settled = { ...changes };
  if (changes.maintenance === false) Object.assign(settled, { maintenanceReason: null, fault: null });
  if (changes.protected === false) settled.protectedReason = null;
  if (changes.protected === true && node.provisionState !== 'active') refuseState(node, 'protected', ['active']);
  if (changes.retired === false) settled.retiredReason = null;
  // 409 as in Ironic: openstacksdk's own tests ask for it
  if (changes.retired === true && node.provisionState === 'available') throw new ConflictError(`Node ${node.uuid} can not have 'retired' set in provision state 'available', the current state is 'available'`);
  if (settled.protectedReason && !(changes.protected ?? node.protected)) throw new InvalidParameterError('The protected_reason field can only be set when protected is True');
  if (settled.retiredReason && !(changes.retired ?? node.retired)) throw new InvalidParameterError('The retired_reason field can only be set when retired is True');
  if (changes.instanceUuid && node.instanceUuid) throw new ConflictError(`Node ${node.uuid} is associated with instance ${node.instanceUuid}.`, { instance: node.instanceUuid });
  if ('resourceClass' in changes && node.resourceClass && !REBUILDABLE.includes(node.provisionState)) refuseState(node, 'resource_class', REBUILDABLE);
  return settled;
}

/** 400 and not Ironic's 409: clients repeat a 409 by themselves, and this state does not pass by itself. */
function refuseState(node: NodeRow, field: string, allowed: readonly ProvisionState[], otherwise = ''): never {
  throw new InvalidParameterError(`Node ${node.uuid} can not have ${field} updated unless it is in one of allowed (${allowed.join(', ')}) states${otherwise}. Current state is '${node.provisionState}'.`, { field, state: node.provisionState });
}
