import { randomUUID } from 'node:crypto';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { Plan, PlanCheck } from '../../protocol/plan.ts';
import { UUID_PATTERN, type ProvisionRequest } from '../../protocol/provision.ts';
import { hasTransition } from '../../state-machine/provision-states.ts';
import type { NewOperation } from '../db/operation-store.ts';
import type { NodeRow } from '../db/rows.ts';
import type { ImageFacts, ImageSource } from '../drivers/deployment.ts';
import { driverTask } from './driver-task.ts';
import { machineOf } from './known-machine.ts';
import type { WorkflowParts } from './parts.ts';
import { planDeployment } from './plan.ts';
import { checkInterface } from './validation.ts';
import type { Caller } from './workflow.ts';

type DeploymentVerb = 'deploy' | 'rebuild';

const REQUEST_CHECK_TIMEOUT_MS = 60_000;
/** Kinds of interfaces that a deployment needs. */
const NEEDED = ['power', 'management', 'boot', 'network', 'deploy'] as const;
/** As protocol/deploy-commands.ts has it. */
const HOST_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/;

/** A deploy or rebuild as it was asked for. */
interface Deployment {
  /** The node as it will be stored: with the image of the request. */
  node: NodeRow;
  source: ImageSource | null;
  generalize: { hostname: string } | null;
  /** Whether the request itself asks for an image to be written: an implementation that writes none can not serve it. */
  writes: boolean;
}

/**
 * Everything that a deploy or rebuild has to pass before the node is touched, beyond state, lock and maintenance.
 * @throws InvalidParameterError naming every check of the plan that fails, or the argument that is wrong; TemporarilyUnavailableError.
 */
export async function newDeployment(parts: WorkflowParts, node: NodeRow, verb: DeploymentVerb, request: ProvisionRequest, caller: Caller): Promise<{ instanceInfo: JsonObject; operation: NewOperation }> {
  const deployment = read(node, request);
  const { plan, image } = await makePlan(parts, verb, deployment, caller, []);
  const failed = plan.checks.filter(({ result }) => result === 'fail');
  if (failed.length > 0) throw new InvalidParameterError(`Node ${node.uuid} can not be ${verb === 'rebuild' ? 'rebuilt' : 'deployed'}: ${failed.map(({ name, message }) => `${name}: ${message}`).join(' ')}`, { checks: failed });
  const instanceInfo = { ...deployment.node.instanceInfo, ...configdriveOf(request, image) };
  return { instanceInfo, operation: { uuid: randomUUID(), kind: node.provisionState === 'available' ? 'deploy' : 'rebuild', requestedBy: caller.user, image: deployment.source as JsonObject | null, generalize: deployment.generalize } };
}

/** The same checks, and those of the node's state, told instead of refused. @throws InvalidParameterError for a request or an image that no plan can be made of; TemporarilyUnavailableError. */
export async function dryRunDeployment(parts: WorkflowParts, node: NodeRow, verb: DeploymentVerb, request: ProvisionRequest, caller: Caller): Promise<Plan> {
  return (await makePlan(parts, verb, read(node, request), caller, stateChecks(node, verb))).plan;
}

async function makePlan(parts: WorkflowParts, verb: DeploymentVerb, { node, source, generalize, writes }: Deployment, caller: Caller, more: readonly PlanCheck[]): Promise<{ plan: Plan; image: ImageFacts | null }> {
  const drivers = parts.hardware.driversFor(node);
  const task = await driverTask(parts, node, REQUEST_CHECK_TIMEOUT_MS);
  const image = await drivers.deploy.describeImage(task, source, confinedTo(caller));
  const extra = [...more];
  for (const kind of NEEDED) {
    const { result, reason } = await checkInterface(parts, task, kind);
    extra.push(checkOf(`${kind}_interface`, result ? null : (reason ?? 'it does not say why'), `The ${kind} interface "${drivers[kind].name}" can work.`));
  }
  if (image !== null) extra.push(await checkBmc(parts, task));
  if (image === null && writes) extra.push(checkOf('deploy_interface', `The deploy interface "${drivers.deploy.name}" writes no image: set deploy_interface to "direct" first.`, ''));
  const machine = await machineOf(parts, node);
  const origin = image?.manifest?.node_uuid;
  const plan = planDeployment({
    verb,
    node,
    image,
    ...machine,
    generalize: generalize !== null,
    originExists: origin === undefined || (await parts.db.nodes.find(origin)) !== null,
    extra,
  });
  return { plan, image };
}

/** The project beyond whose images the caller must not reach; null: there is none. */
const confinedTo = ({ scope, access, projectId }: Caller): string | null => (scope === 'project' && access !== 'admin' ? (projectId ?? '') : null);

async function checkBmc(parts: WorkflowParts, task: Awaited<ReturnType<typeof driverTask>>): Promise<PlanCheck> {
  try {
    await parts.hardware.driversFor(task.node).power.getPowerState(task);
    return checkOf('bmc', null, 'The BMC answers.');
  } catch (error) {
    return checkOf('bmc', messageOf(error), ''); // the answer is what was asked for
  }
}

const stateChecks = (node: NodeRow, verb: DeploymentVerb): PlanCheck[] => [
  { ...checkOf('state', hasTransition(node.provisionState, verb) ? null : `The node can not be ${verb === 'rebuild' ? 'rebuilt' : 'deployed'} in this state.`, `A ${verb} can begin.`), found: node.provisionState },
  checkOf('lock', node.reservation === null ? null : `The node is locked by ${node.reservation}: repeat the request when its work has ended.`, 'Nobody works on the node.'),
  checkOf('maintenance', node.maintenance ? 'The node is in maintenance: take it out first, with "baremetal node maintenance unset".' : null, 'The node is not in maintenance.'),
  checkOf('protected', node.protected && verb === 'rebuild' ? 'The node is protected: unset that first.' : null, 'Nothing protects the node.'),
];

const checkOf = (name: string, trouble: string | null, fine: string): PlanCheck => ({ name, result: trouble === null ? 'pass' : 'fail', expected: null, found: null, message: trouble ?? fine });

/** @throws InvalidParameterError for arguments that are wrong or not served. */
function read(found: NodeRow, request: ProvisionRequest): Deployment {
  if (request.deploy_steps && request.deploy_steps.length > 0) throw new InvalidParameterError('deploy_steps: a deployment here has no other steps than its own; leave them out.');
  const node = { ...found, instanceInfo: withImage(found.instanceInfo, request.image_ref) };
  const { generalize, image_ref: imageRef } = request;
  return { node, writes: (imageRef ?? null) !== null || (generalize ?? false) !== false, source: sourceOf(node), generalize: generalize === undefined || generalize === false ? null : { hostname: generalize === true ? hostNameOf(node) : checkHostName(generalize.hostname) } };
}

/** What the request names takes the place of everything that was said about the image before. */
function withImage(instanceInfo: JsonObject, imageRef: unknown): JsonObject {
  if (imageRef === undefined || imageRef === null) return instanceInfo;
  if (typeof imageRef !== 'string' || !UUID_PATTERN.test(imageRef)) throw new InvalidParameterError(`image_ref: expected the UUID of an image, found ${JSON.stringify(imageRef)}.`);
  return { ...Object.fromEntries(Object.entries(instanceInfo).filter(([name]) => !name.startsWith('image_'))), image_source: imageRef.toLowerCase() };
}

function sourceOf({ instanceInfo }: NodeRow): ImageSource | null {
  const text = (name: string): string | null => {
    const value = instanceInfo[name] ?? null;
    if (value !== null && typeof value !== 'string') throw new InvalidParameterError(`instance_info.${name}: expected a text, found ${JSON.stringify(value)}.`);
    return value === '' ? null : value;
  };
  const source = text('image_source');
  if (source === null) return null;
  const hashValue = text('image_os_hash_value');
  return { source, diskFormat: text('image_disk_format'), hashAlgo: hashValue === null ? null : text('image_os_hash_algo'), hashValue: hashValue ?? text('image_checksum') };
}

/** The first name of the node that can be one of a host. */
const hostNameOf = ({ uuid, name, instanceInfo }: NodeRow): string => [instanceInfo['hostname'], instanceInfo['display_name'], name].find((candidate) => typeof candidate === 'string' && HOST_NAME.test(candidate)) as string | undefined ?? `host-${uuid.slice(0, 8)}`;

function checkHostName(hostname: string): string {
  if (!HOST_NAME.test(hostname)) throw new InvalidParameterError(`generalize.hostname: expected a host name of letters, digits, "-" and ".", found ${JSON.stringify(hostname)}.`);
  return hostname;
}

/** @throws InvalidParameterError for one that would have to be written: nothing must be lost in silence. */
function configdriveOf({ configdrive }: ProvisionRequest, image: ImageFacts | null): JsonObject {
  const isEmpty = configdrive === undefined || configdrive === null || configdrive === '' || (typeof configdrive === 'object' && Object.keys(configdrive).length === 0);
  if (isEmpty) return {};
  if (image !== null) throw new InvalidParameterError('configdrive: the deploy interface "direct" writes none. Leave it out; a copy is made a machine of its own with "generalize".');
  return { configdrive: configdrive as JsonObject[string] };
}
