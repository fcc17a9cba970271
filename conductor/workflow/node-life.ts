/** Executors for the life around a snapshot: verify, adopt, clean, deploy, tear down. Each may be called again. */
import type { ProvisionEvent } from '../../state-machine/provision-machine.ts';
import type { CleanStep, Outcome } from '../drivers/interfaces.ts';
import { driverTask } from './driver-task.ts';
import { endSnapshot } from './snapshot-workflow.ts';
import type { Work } from './work.ts';

const eventOf = (outcome: Outcome): ProvisionEvent => ({ type: outcome });
/** What a ramdisk of an earlier boot said is void: the next one gets a token of its own. */
const NO_AGENT = { agentToken: null, agentUrl: null, agentVerifyCa: null, agentLastHeartbeatAt: null };
/** Whoever deploys or undeploys a server decides what runs on it: there is nothing to bring it back to any more. */
const NOTHING_TO_BRING_BACK = { bootBack: null, powerStateBefore: null, powerOffDue: 'none' as const, bootBackAttempts: 0, bootBackNextAt: null };

/** A node is manageable when its BMC answers. */
export async function verify({ parts, node }: Work): Promise<ProvisionEvent> {
  const { power, management } = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, parts.limits.powerTimeoutMs);
  await power.validate(task);
  await management.validate(task);
  await parts.db.nodes.update(node.id, { powerState: await power.getPowerState(task) });
  return { type: 'done' };
}

/** Takes over a server that already runs: everything is checked, nothing is touched. */
export async function adopt({ parts, node }: Work): Promise<ProvisionEvent> {
  const drivers = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, parts.limits.powerTimeoutMs);
  for (const driver of [drivers.power, drivers.management, drivers.boot, drivers.deploy]) await driver.validate(task);
  await parts.db.nodes.update(node.id, { powerState: await drivers.power.getPowerState(task) });
  return { type: 'done' };
}

export async function clean({ parts, node }: Work): Promise<ProvisionEvent> {
  const steps = manualSteps(node.driverInternalInfo['clean_steps']);
  await parts.db.nodes.update(node.id, NO_AGENT);
  const { deploy } = parts.hardware.driversFor(node);
  return cleaned(await deploy.clean(await driverTask(parts, node), steps), steps !== null);
}

export async function continueClean({ parts, node }: Work): Promise<ProvisionEvent> {
  const { deploy } = parts.hardware.driversFor(node);
  return cleaned(await deploy.continueClean(await driverTask(parts, node)), manualSteps(node.driverInternalInfo['clean_steps']) !== null);
}

/** Cleaning by hand ends where it came from, cleaning on the way to `available` goes there. */
const cleaned = (outcome: Outcome, manual: boolean): ProvisionEvent => (outcome === 'wait' ? { type: 'wait' } : { type: manual ? 'manage' : 'done' });
const manualSteps = (stored: unknown): CleanStep[] | null => (Array.isArray(stored) ? (stored as CleanStep[]) : null);

export async function deploy({ parts, node }: Work): Promise<ProvisionEvent> {
  await parts.db.nodes.update(node.id, { ...NO_AGENT, ...NOTHING_TO_BRING_BACK });
  return eventOf(await parts.hardware.driversFor(node).deploy.deploy(await driverTask(parts, node)));
}

export async function continueDeploy({ parts, node }: Work): Promise<ProvisionEvent> {
  return eventOf(await parts.hardware.driversFor(node).deploy.continueDeploy(await driverTask(parts, node)));
}

/** A wait for the ramdisk that ended badly: what it knew is void. */
export async function forgetAgent({ parts, node }: Work): Promise<null> {
  await parts.db.nodes.update(node.id, NO_AGENT);
  return null;
}

/** Undeploy: a snapshot under way ends (its server is not brought back: it is to go), the server is switched off, its instance forgotten. */
export async function tearDown({ parts, node }: Work): Promise<ProvisionEvent> {
  await endSnapshot(parts, node, 'The node was undeployed while its snapshot was under way');
  await parts.db.nodes.update(node.id, NOTHING_TO_BRING_BACK);
  const drivers = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, 4 * parts.limits.powerTimeoutMs);
  await drivers.deploy.tearDown(task);
  await drivers.power.setPowerState(task, 'power off', parts.limits.powerTimeoutMs);
  await drivers.boot.cleanUpRamdisk(task);
  await drivers.management.setBootDevice(task, 'disk', false);
  const { clean_steps: _, ...driverInternalInfo } = node.driverInternalInfo;
  await parts.db.nodes.update(node.id, { ...NO_AGENT, driverInternalInfo, powerState: 'power off', instanceInfo: {}, instanceUuid: null });
  return { type: 'clean' };
}
