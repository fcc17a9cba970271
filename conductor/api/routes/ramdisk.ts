import type { Request, Response, Router } from 'express';
import { AGENT_VERIFY_CA_MICROVERSION, AGENT_VERSION_MICROVERSION, heartbeatBodySchema, LOOKUP_MICROVERSION, type LookupReply } from '../../../protocol/agent-api.ts';
import { InvalidParameterError, NotFoundError } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { BOOT_NONCE_HEADER } from '../../../protocol/ramdisk-boot.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { NODE_FIELDS } from '../node-fields.ts';
import { findNode, representNode } from '../node-representation.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf, commaList, MAC_PATTERN, queryOf, uuidLike } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const AGENT_STATUS_MICROVERSION = 72;
const LOOKUP_FIELDS = ['uuid', 'properties', 'instance_info', 'driver_internal_info'];

export const lookupQuery = { addresses: commaList.optional(), node_uuid: uuidLike.optional() };

/** `/v1/lookup` and `/v1/heartbeat/{ident}`: what a ramdisk agent says. */
export function ramdiskRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/lookup', { GET: (request, response, context) => lookUp(deps, request, response, context) }, LOOKUP_MICROVERSION);
  resource(router, '/heartbeat/:ident', { POST: (request, response, context) => takeHeartbeat(deps, request, response, context) }, LOOKUP_MICROVERSION);
}

/** Every refusal is the same 404, so that nobody learns which addresses are known. */
async function lookUp(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const query = queryOf(request, lookupQuery);
  const addresses = (query.addresses ?? []).filter((address) => MAC_PATTERN.test(address)).map((address) => address.toLowerCase().replaceAll('-', ':'));
  if (addresses.length === 0 && query.node_uuid === undefined) throw new InvalidParameterError("At least one of 'addresses' and 'node_uuid' parameters is required");
  const found = await deps.workflow.lookup({ addresses, nodeUuid: query.node_uuid, nonce: request.get(BOOT_NONCE_HEADER), peer: peerOf(request) });
  if (!found) throw new NotFoundError();
  const fields = NODE_FIELDS.filter(({ name }) => LOOKUP_FIELDS.includes(name));
  const reply: LookupReply = {
    node: (await representNode(deps, found.node, fields, context, false)) as JsonObject & LookupReply['node'],
    config: { heartbeat_timeout: found.heartbeatTimeoutS, agent_token: found.agentToken, agent_token_required: true },
  };
  response.json(reply);
}

async function takeHeartbeat(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const body = bodyOf(request, heartbeatBodySchema);
  const since = { agent_version: AGENT_VERSION_MICROVERSION, agent_verify_ca: AGENT_VERIFY_CA_MICROVERSION, agent_status: AGENT_STATUS_MICROVERSION, agent_status_message: AGENT_STATUS_MICROVERSION };
  for (const [name, minor] of Object.entries(since)) {
    if (body[name as keyof typeof since] !== undefined && context.minor < minor) throw new InvalidParameterError(`Field "${name}" not recognised in this version`);
  }
  const node = await findNode(deps, parameter(request, 'ident'), context);
  await deps.workflow.heartbeat(node.uuid, body, peerOf(request));
  endEmpty(response, 202);
}

/** Address of the connection itself: what a proxy may tell of others is not to be relied upon. */
const peerOf = ({ socket }: Request): string => socket.remoteAddress ?? 'unknown';
