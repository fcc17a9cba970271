import { messageOf } from '../../protocol/errors.ts';
import { hasTransition } from '../../state-machine/provision-states.ts';
import type { NodeRow } from '../db/rows.ts';
import { INTERFACE_KINDS } from '../db/rows.ts';
import type { DriverTask, SnapshotRequest } from '../drivers/interfaces.ts';
import { driverTask } from './driver-task.ts';
import type { WorkflowParts } from './parts.ts';
import type { CheckResult } from './workflow.ts';

/** A check that talks to a BMC or a service has this long. */
const CHECK_TIMEOUT_MS = 30_000;

async function check(work: () => Promise<unknown>): Promise<CheckResult> {
  try {
    await work();
    return { result: true };
  } catch (error) {
    return { result: false, reason: messageOf(error) }; // the reason is what was asked for
  }
}

async function allOf(checks: Readonly<Record<string, () => Promise<void>>>): Promise<Record<string, CheckResult>> {
  const results: Record<string, CheckResult> = {};
  for (const [name, work] of Object.entries(checks)) results[name] = await check(work);
  return results;
}

/** Whether each interface of the node could work, with the reason where it could not. Only documents are looked at, no machine. */
export async function validateInterfaces(parts: WorkflowParts, node: NodeRow): Promise<Record<string, CheckResult>> {
  const task = await driverTask(parts, node, CHECK_TIMEOUT_MS);
  const results: Record<string, CheckResult> = {};
  for (const kind of INTERFACE_KINDS) results[kind] = await checkInterface(parts, task, kind);
  delete results['vendor']; // Ironic's reply has none
  return results;
}

/** Whether one interface of the task's node could work. */
export const checkInterface = (parts: WorkflowParts, task: DriverTask, kind: (typeof INTERFACE_KINDS)[number]): Promise<CheckResult> => check(() => validateKind(parts, task, kind));

async function validateKind(parts: WorkflowParts, task: DriverTask, kind: (typeof INTERFACE_KINDS)[number]): Promise<void> {
  const drivers = parts.hardware.driversFor(task.node);
  if (kind === 'snapshot' && drivers.snapshot.unsupported !== undefined) throw new Error(drivers.snapshot.unsupported);
  if (kind in drivers) return drivers[kind as keyof typeof drivers].validate(task);
}

/** Everything about a snapshot request that can be known beforehand. Asks the BMC and the image service, changes nothing. */
export async function checkSnapshot(parts: WorkflowParts, node: NodeRow, request: SnapshotRequest): Promise<Record<string, CheckResult>> {
  const task = await driverTask(parts, node, CHECK_TIMEOUT_MS);
  const interfaces = await validateInterfaces(parts, node);
  const kinds = ['power', 'management', 'boot', 'network', 'snapshot'] as const;
  return {
    state: await check(() => refuseUnless(hasTransition(node.provisionState, 'snapshot'), `a snapshot can not begin in state "${node.provisionState}"`)),
    lock: await check(() => refuseUnless(node.reservation === null, `the node is locked by ${node.reservation}`)),
    maintenance: await check(() => refuseUnless(!node.maintenance, 'the node is in maintenance')),
    ...Object.fromEntries(kinds.map((kind) => [`${kind}_interface`, interfaces[kind] ?? { result: false, reason: 'unknown interface' }])),
    power: await check(async () => parts.hardware.driversFor(node).power.getPowerState(task)),
    boot_device: await check(async () => parts.hardware.driversFor(node).management.getBootDevice(task)),
    ...(await allOf(parts.hardware.driversFor(node).snapshot.requestChecks(task, request))),
    holder: await check(async () => refuseUnless(!(await parts.db.snapshots.holderInUse(request.imageRef)), 'the image is the target of another unfinished snapshot')),
  };
}

const refuseUnless = (condition: boolean, reason: string): Promise<void> => (condition ? Promise.resolve() : Promise.reject(new Error(reason)));
