import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ConflictError, InvalidParameterError } from '../../protocol/errors.ts';
import type { Json, JsonObject } from '../../protocol/json.ts';
import { hasTag } from '../../state-machine/provision-states.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { NodePatch } from '../db/node-store.ts';
import { INTERFACE_KINDS, type InterfaceKind, type NodeRow } from '../db/rows.ts';
import type { Caller } from '../workflow/workflow.ts';
import type { ApiDependencies } from './dependencies.ts';
import { applyJsonPatch, fieldOf, type JsonPatch } from './json-patch.ts';
import { maintenancePatch } from './maintenance.ts';
import { requireVersion } from './microversion.ts';
import { checkPatchedDocument, documentOf, interfacesIn, PATCHABLE } from './node-document.ts';
import { hasCredentials, maskSecrets } from './secrets.ts';

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
export function changesOf(deps: ApiDependencies, node: NodeRow, patch: JsonPatch, options: { resetInterfaces: boolean; caller: Caller }): NodePatch {
  refuseInTransition(node, patch);
  const before = documentOf(node);
  const after = checkPatchedDocument(applyJsonPatch(before, patch));
  if (options.caller.access !== 'admin') refuseRedirectedSecrets(node, before, after, patch);
  if (!isDeepStrictEqual(imageSourceOf(after), imageSourceOf(before))) refuseImageCredentials(after);
  const changes: NodePatch = {};
  for (const [name, field] of PATCHABLE) {
    if (!isDeepStrictEqual(after[name], before[name])) Object.assign(changes, field.write?.(after[name] ?? null));
  }
  const interfaces = interfacesAfter(deps, node, after, patch, changes, options.resetInterfaces);
  if (after['maintenance'] === true && node.fault !== null && patch.some((operation) => fieldOf(operation) === 'maintenance')) Object.assign(changes, maintenancePatch(true, null)); // also where it is on already
  return { ...settleReasons(node, changes), ...(interfaces ? { interfaces } : {}) };
}

/** Members of `driver_info` that say where the secrets beside them are sent, and to whom. */
const RECEIVER = /(^|_)(address|verify_ca)$/i;

/**
 * Who may not read a secret must not have it sent to an address of his choice either: a new address comes with secrets of its
 * own. What the patch leaves of the stored ones is told by marks put in their place.
 */
function refuseRedirectedSecrets(node: NodeRow, before: JsonObject, after: JsonObject, patch: JsonPatch): void {
  const wanted = (after['driver_info'] ?? {}) as JsonObject;
  const moved = Object.keys({ ...node.driverInfo, ...wanted }).filter((name) => RECEIVER.test(name) && !isDeepStrictEqual(wanted[name], node.driverInfo[name]));
  if (moved.length === 0) return;
  const mark = randomUUID();
  const kept = applyJsonPatch({ ...before, driver_info: maskSecrets(node.driverInfo, mark) }, patch)['driver_info'] ?? {};
  const secrets = Object.entries(kept as JsonObject).flatMap(([name, value]) => (JSON.stringify(value).includes(mark) ? [name] : []));
  if (secrets.length > 0) throw new InvalidParameterError(`driver_info ${moved.join(', ')} can be changed only together with the secrets that are sent there: set ${secrets.join(', ')} in the same patch, or ask an administrator.`, { moved, secrets });
}

const imageSourceOf = (document: JsonObject): Json => (document['instance_info'] as JsonObject | null | undefined)?.['image_source'] ?? null;

/** Everybody who sees the node reads the address. @throws InvalidParameterError when it has a user or password in it. */
export function refuseImageCredentials(document: JsonObject): void {
  const source = imageSourceOf(document);
  if (typeof source !== 'string' || !hasCredentials(source)) return;
  throw new InvalidParameterError('instance_info image_source carries a user name or password in its URL: use a URL without (a signed one, for example).');
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
  const patched = new Set(patch.map(fieldOf));
  if (reset && !patched.has('driver')) throw new InvalidParameterError("The reset_interfaces parameter can only be used when changing the node's driver.");
  const named = interfacesIn(after);
  const wanted = reset ? Object.fromEntries(Object.entries(named).filter(([kind]) => patched.has(`${kind}_interface`))) : named;
  const group = changes.conductorGroup ?? node.conductorGroup;
  if (changes.conductorGroup !== undefined) refuseForeignGroup(deps, driver, group);
  const resolved = reset ? deps.hardware.resolveInterfaces(driver, wanted, group) : undefined;
  const changed = INTERFACE_KINDS.filter((kind) => (resolved ?? named)[kind] !== node.interfaces[kind]);
  if (changed.length === 0 && changes.driver === undefined) return undefined;
  for (const kind of changed) {
    const allowed = kind === 'snapshot' ? SNAPSHOT_INTERFACE : REBUILDABLE;
    if (!node.maintenance && !allowed.includes(node.provisionState)) refuseState(node, `${kind}_interface`, allowed, ' or in maintenance mode');
  }
  return resolved ?? deps.hardware.resolveInterfaces(driver, wanted, group);
}

/** @throws InvalidParameterError in Ironic's words: no conductor of that group is known. */
export function refuseForeignGroup(deps: ApiDependencies, driver: string, group: string): void {
  if (group.toLowerCase() === deps.config.conductorGroup.toLowerCase()) return;
  throw new InvalidParameterError(`No valid host was found. Reason: No conductor service registered which supports driver ${driver} for conductor group "${group}".`);
}

/** Fields that depend on each other. */
function settleReasons(node: NodeRow, changes: NodePatch): NodePatch {
  const settled = { ...changes };
  if (changes.maintenance === false) Object.assign(settled, maintenancePatch(false, null));
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
