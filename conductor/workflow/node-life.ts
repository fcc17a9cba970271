/** Executors for the life around a snapshot: verify, adopt, clean, deploy, tear down. Each may be called again. */
import { randomUUID } from 'node:crypto';
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import type { NodeRow } from '../db/rows.ts';
import type { CleanStep } from '../drivers/deployment.ts';
import type { DriverSet, DriverTask, Outcome } from '../drivers/interfaces.ts';
import { restoreBootDevice, undoRamdiskBoot } from '../drivers/own-disk.ts';
import { NO_RAMDISK } from '../drivers/ramdisk-task.ts';
import { driverTask } from './driver-task.ts';
import { carryOn, endOperation, unfinishedOperation } from './operation-workflow.ts';
import { NOTHING_TO_BRING_BACK, withoutHalfWritten } from './outlook.ts';
import type { WorkflowParts } from './parts.ts';
import { endSnapshot } from './snapshot-workflow.ts';
import { WayBackSession } from './way-back-session.ts';
import { latestWork } from './work-under-way.ts';
import type { Work } from './work.ts';

/** A node is manageable when its BMC answers. */
export async function verify({ parts, node }: Work): Promise<ProvisionEvent> {
  const drivers = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, parts.limits.powerTimeoutMs);
  await drivers.power.validate(task);
  await drivers.management.validate(task);
  await recordPowerState(parts, drivers, task);
  return { type: 'done' };
}

/** Takes over a server that already runs: everything that this needs is checked, nothing is touched. */
export async function adopt({ parts, node }: Work): Promise<ProvisionEvent> {
  const drivers = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, parts.limits.powerTimeoutMs);
  for (const driver of [drivers.power, drivers.management, drivers.boot, drivers.network]) await driver.validate(task);
  await recordPowerState(parts, drivers, task);
  return { type: 'done' };
}

/** What a machine in memory answers is nobody's power state until somebody asks for one; Ironic's fake has none either. */
async function recordPowerState(parts: WorkflowParts, { power }: DriverSet, task: DriverTask): Promise<void> {
  const powerState = await power.getPowerState(task);
  if (!power.imaginary) await parts.db.nodes.update(task.node.id, { powerState });
}

/** On the way to `available` only where the configuration or the node asks for it; by hand always. */
export async function clean(work: Work): Promise<ProvisionEvent> {
  const { parts, node, user } = work;
  const steps = manualSteps(node);
  await parts.db.nodes.update(node.id, NO_RAMDISK);
  if (steps === null && !(node.automatedClean ?? parts.automatedClean)) return cleaned('done', node);
  const operation = await parts.db.operations.create(node.id, { uuid: randomUUID(), kind: 'clean', requestedBy: user, image: null, generalize: null });
  return cleaned(await carryOn(work, operation, (session) => session.drivers.deploy.clean(session, steps)), node);
}

export async function continueClean(work: Work): Promise<ProvisionEvent> {
  const operation = await unfinishedOperation(work.parts, work.node);
  return cleaned(await carryOn(work, operation, (session) => session.drivers.deploy.continueClean(session)), work.node);
}

/** Cleaning by hand ends where it came from, cleaning on the way to `available` goes there; a retired node goes nowhere but to its keeper. */
const cleaned = (outcome: Outcome, node: NodeRow): ProvisionEvent => ({ type: outcome === 'wait' ? 'wait' : manualSteps(node) !== null || node.retired ? 'manage' : 'done' });

function manualSteps({ driverInternalInfo }: NodeRow): CleanStep[] | null {
  const stored = driverInternalInfo['clean_steps'];
  return Array.isArray(stored) ? (stored as unknown as CleanStep[]) : null;
}

export async function deploy(work: Work): Promise<ProvisionEvent> {
  const operation = await unfinishedOperation(work.parts, work.node);
  await work.parts.db.nodes.update(work.node.id, NO_RAMDISK);
  return { type: await carryOn(work, operation, (session) => session.drivers.deploy.deploy(session)) };
}

export async function continueDeploy(work: Work): Promise<ProvisionEvent> {
  const operation = await unfinishedOperation(work.parts, work.node);
  return { type: await carryOn(work, operation, (session) => session.drivers.deploy.continueDeploy(session)) };
}

/** Undeploy: whatever is under way ends (its server is not brought back: it is to go), the server is switched off, its instance forgotten. */
export async function tearDown({ parts, node }: Work): Promise<ProvisionEvent> {
  for (const end of [endSnapshot, endOperation]) {
    const leftBehind = await end(parts, node, 'The node was undeployed meanwhile');
    if (leftBehind !== null) parts.log.warn({ node: node.uuid, leftBehind }, 'work that an undeployment ended left something behind');
  }
  const session = await WayBackSession.open(parts, await parts.db.nodes.get(node.id), await latestWork(parts, node));
  if (session.node.powerOffDue === 'ramdisk' && (await session.ramdiskPresence()) === 'answers') await session.keepRamdiskLogs();
  await session.saveNode(NOTHING_TO_BRING_BACK);
  const { deploy, network, power } = session.drivers;
  await deploy.tearDown(session);
  await power.setPowerState(session, 'power off', parts.limits.powerTimeoutMs);
  await undoRamdiskBoot(session, { runsInstance: false });
  await network.unconfigureTenantNetworks(session);
  await restoreBootDevice(session);
  const { clean_steps: _, ...driverInternalInfo } = withoutHalfWritten((await parts.db.nodes.get(node.id)).driverInternalInfo);
  await parts.db.nodes.update(node.id, { ...NO_RAMDISK, bootDeviceBefore: null, driverInternalInfo, powerState: 'power off', instanceInfo: {}, instanceUuid: null });
  return { type: 'clean' };
}
