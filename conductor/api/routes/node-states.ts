import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import { SNAPSHOT_OPTION_NAMES } from '../../../protocol/capture.ts';
import { InvalidParameterError, InvalidStateError, NodeLockedError } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { SNAPSHOT_MICROVERSION, VERB_MICROVERSIONS } from '../../../protocol/microversion.ts';
import { POWER_TARGETS, provisionRequestSchema, VERB_EVENTS, type PowerTarget, type ProvisionRequest, type Verb } from '../../../protocol/provision.ts';
import type { NodeRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields } from '../field-selection.ts';
import { requireVersion } from '../microversion.ts';
import { NODE_FIELDS, NODE_STATES_FIELDS } from '../node-fields.ts';
import { findNode, representNode } from '../node-representation.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const SOFT_POWER_MICROVERSION = 27;
const DEPLOY_STEPS_MICROVERSION = 69;
const DISABLE_RAMDISK_MICROVERSION = 70;

/** Those that write an image to the server's disk. */
const WRITING_VERBS: readonly string[] = ['active', 'deploy', 'rebuild'];

export const powerRequestSchema = z.strictObject({ target: z.string(), timeout: z.number().int().nullish() });

/** `/v1/nodes/{ident}/states` and what changes them. */
export function nodeStatesRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/nodes/:ident/states', {
    GET: async (request, response, context) => {
      const node = await findNode(deps, parameter(request, 'ident'), context);
      const { links: _, ...states } = await representNode(deps, node, selectFields(NODE_FIELDS, {}, NODE_STATES_FIELDS, context.minor), context, false);
      response.json(states);
    },
  });
  resource(router, '/nodes/:ident/states/provision', { PUT: (request, response, context) => changeProvisionState(deps, request, response, context) });
  resource(router, '/nodes/:ident/states/power', { PUT: (request, response, context) => changePowerState(deps, request, response, context) });
}

/** Ironic's order: 1 argument types, 2 the node, 3 the verb's version; the workflow goes on from there (maintenance, lock, state, the verb's own arguments). */
async function changeProvisionState(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const wanted = bodyOf(request, provisionRequestSchema);
  const node = await findNode(deps, parameter(request, 'ident'), context);
  requireVersion(context.minor, VERB_MICROVERSIONS[wanted.target] ?? 1, `Target ${wanted.target}`);
  if (!isVerb(wanted.target)) throw node.reservation === null ? new InvalidStateError(wanted.target, node.uuid, node.provisionState) : new NodeLockedError(node.uuid, node.reservation);
  checkArguments(wanted, context.minor);
  if (wanted.dry_run) {
    response.json(await rehearse(deps, node, wanted.target, wanted, context));
    return;
  }
  await deps.workflow.provision(node, wanted.target, wanted, context.caller);
  endEmpty(response, 202, statesLocation(request, context));
}

/** What the request would do; nothing is touched. */
async function rehearse({ workflow }: ApiDependencies, node: NodeRow, verb: Verb, wanted: ProvisionRequest, { caller }: RequestContext): Promise<JsonObject> {
  if (verb === 'snapshot') return { checks: { ...(await workflow.dryRunSnapshot(node, wanted, caller)) } } as unknown as JsonObject;
  return { plan: await workflow.planDeployment(node, verb === 'rebuild' ? 'rebuild' : 'deploy', wanted, caller) } as unknown as JsonObject;
}

const isVerb = (target: string): target is Verb => Object.hasOwn(VERB_EVENTS, target);

/** Arguments that belong to other verbs: never ignored, least of all a dry run. */
function checkArguments(wanted: ProvisionRequest, minor: number): void {
  const onlyFor = (argument: keyof ProvisionRequest, verbs: readonly string[], since = 1): void => {
    if (wanted[argument] === undefined || wanted[argument] === null) return;
    if (!verbs.includes(wanted.target)) throw new InvalidParameterError(`"${argument}" is only valid when setting target provision state to ${verbs.join(' or ')}`);
    requireVersion(minor, since, argument);
  };
  onlyFor('image_ref', ['snapshot', ...WRITING_VERBS], SNAPSHOT_MICROVERSION);
  onlyFor('dry_run', ['snapshot', ...WRITING_VERBS], SNAPSHOT_MICROVERSION);
  for (const option of SNAPSHOT_OPTION_NAMES) onlyFor(option, ['snapshot'], SNAPSHOT_MICROVERSION);
  onlyFor('generalize', WRITING_VERBS, SNAPSHOT_MICROVERSION);
  onlyFor('configdrive', WRITING_VERBS);
  onlyFor('deploy_steps', WRITING_VERBS, DEPLOY_STEPS_MICROVERSION);
  onlyFor('rescue_password', ['rescue']);
  onlyFor('disable_ramdisk', ['clean'], DISABLE_RAMDISK_MICROVERSION);
}

async function changePowerState(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const { target, timeout } = bodyOf(request, powerRequestSchema);
  const node = await findNode(deps, parameter(request, 'ident'), context);
  if (target.startsWith('soft ')) requireVersion(context.minor, SOFT_POWER_MICROVERSION, `Target ${target}`);
  if (timeout) requireVersion(context.minor, SOFT_POWER_MICROVERSION, 'timeout');
  if (typeof timeout === 'number' && timeout < 1) throw new InvalidParameterError('timeout has to be positive integer');
  if (!isPowerTarget(target)) throw new InvalidStateError(target, node.uuid, node.powerState ?? 'None');
  if (['cleaning', 'clean wait'].includes(node.provisionState)) throw new InvalidStateError(target, node.uuid, node.provisionState);
  await deps.workflow.changePower(node, target, typeof timeout === 'number' ? timeout * 1_000 : undefined, context.caller);
  endEmpty(response, 202, statesLocation(request, context));
}

const isPowerTarget = (target: string): target is PowerTarget => (POWER_TARGETS as readonly string[]).includes(target);
const statesLocation = (request: Request, { baseUrl }: RequestContext): string => `${baseUrl}/v1/nodes/${encodeURIComponent(parameter(request, 'ident'))}/states`;
