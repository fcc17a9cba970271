import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import { ConflictError, InvalidParameterError, NotFoundError } from '../../../protocol/errors.ts';
import { hasTag } from '../../../state-machine/provision-states.ts';
import type { NodeRow, PortRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields } from '../field-selection.ts';
import { applyJsonPatch, fieldOf, jsonPatchSchema, type JsonPatch } from '../json-patch.ts';
import { requireVersion } from '../microversion.ts';
import { findNode } from '../node-representation.ts';
import { cutPage, pageOf, pageQuery } from '../pages.ts';
import { checkNewPort, checkPatchedPort, PORT_PATCHABLE, PORT_WIRING, portColumnsOf, portDocumentOf } from '../port-document.ts';
import { PORT_DEFAULT_FIELDS, PORT_FIELDS, PORT_SORT_KEYS, representPort } from '../port-fields.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf, booleanLike, commaList, macAddress, queryOf, uuidLike } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const NODE_IDENT_MICROVERSION = 94;

const listQuery = { ...pageQuery, fields: commaList.optional(), detail: booleanLike.optional() };
const filterQuery = { ...listQuery, node: z.string().optional(), node_uuid: uuidLike.optional(), address: macAddress.optional() };

/** `/v1/ports` and `/v1/nodes/{ident}/ports`. */
export function portRoutes(router: Router, deps: ApiDependencies): void {
  const list = (whole: boolean) => async (request: Request, response: Response, context: RequestContext) => {
    const { node, node_uuid: nodeUuid, address, ...query } = queryOf(request, filterQuery);
    const ident = node ?? nodeUuid;
    await listPorts(deps, request, response, context, query, whole, { address, nodeId: ident === undefined ? undefined : (await findNode(deps, ident, context)).id });
  };
  const listOfNode = (whole: boolean) => async (request: Request, response: Response, context: RequestContext) => {
    const query = queryOf(request, listQuery);
    await listPorts(deps, request, response, context, query, whole, { nodeId: (await findNode(deps, parameter(request, 'ident'), context)).id });
  };
  resource(router, '/nodes/:ident/ports', { GET: listOfNode(false) });
  resource(router, '/nodes/:ident/ports/detail', { GET: listOfNode(true) });
  resource(router, '/ports', { GET: list(false), POST: (request, response, context) => createPort(deps, request, response, context) });
  resource(router, '/ports/detail', { GET: list(true) });
  resource(router, '/ports/:ident', {
    GET: async (request, response, context) => {
      const { fields } = queryOf(request, { fields: commaList.optional() });
      const selected = selectFields(PORT_FIELDS, { fields }, 'all', context.minor);
      const { port, node } = await findPort(deps, parameter(request, 'ident'));
      response.json(representPort(port, node.uuid, selected, context.baseUrl));
    },
    PATCH: (request, response, context) => patchPort(deps, request, response, context),
    DELETE: async (request, response) => {
      const { port, node } = await findPort(deps, parameter(request, 'ident'));
      await deps.workflow.withLock(node.uuid, async (locked) => {
        refuseDuringSnapshot(locked);
        await deps.db.ports.delete(port.id);
      });
      endEmpty(response, 204);
    },
  });
}

type ListQuery = z.output<z.ZodObject<typeof listQuery>>;

async function listPorts(deps: ApiDependencies, request: Request, response: Response, context: RequestContext, query: ListQuery, whole: boolean, filter: { nodeId?: number; address?: string }): Promise<void> {
  const selected = selectFields(PORT_FIELDS, query, whole ? 'all' : PORT_DEFAULT_FIELDS, context.minor);
  const page = pageOf<PortRow>(query, PORT_SORT_KEYS);
  const { rows, next } = cutPage(await deps.db.ports.list({ ...filter, ...page }), page, request, context.baseUrl);
  const nodeUuids = await deps.db.nodes.uuidsOf(rows.map((port) => port.nodeId));
  response.json({ ports: rows.map((port) => representPort(port, nodeUuids.get(port.nodeId) ?? '', selected, context.baseUrl)), ...(next === undefined ? {} : { next }) });
}

async function createPort(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const document = checkNewPort(request.body ?? {});
  for (const { name, since } of PORT_FIELDS) if (name in document) requireVersion(context.minor, since, `Field ${name}`);
  if (document.node_ident !== undefined) requireVersion(context.minor, NODE_IDENT_MICROVERSION, 'Field node_ident');
  const idents = [document.node_uuid, document.node_ident].filter((ident) => ident !== undefined);
  if (idents.length !== 1) throw new InvalidParameterError('Invalid port: expected exactly one of node_uuid and node_ident');
  const owner = await deps.db.nodes.find(idents[0] ?? '');
  if (!owner) throw new InvalidParameterError(`Node ${idents[0]} could not be found.`); // 400: the address of this request is right
  const { uuid, node_uuid: _, node_ident: __, ...columns } = document;
  const port = await deps.workflow.withLock(owner.uuid, (node) => deps.db.ports.create({ ...portColumnsOf(columns), nodeId: node.id, ...(uuid ? { uuid } : {}) }));
  response.status(201).location(`${context.baseUrl}/v1/ports/${port.uuid}`);
  response.json(representPort(port, owner.uuid, selectFields(PORT_FIELDS, {}, 'all', context.minor), context.baseUrl));
}

async function patchPort(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const patch = bodyOf(request, jsonPatchSchema);
  checkPatchFields(patch, context.minor);
  const found = await findPort(deps, parameter(request, 'ident'));
  await deps.workflow.withLock(found.node.uuid, async (node) => {
    const port = await deps.db.ports.find(found.port.uuid);
    if (!port) throw new NotFoundError(`Port ${found.port.uuid} could not be found.`);
    refuseDuringSnapshot(node);
    refuseRewiring(node, patch);
    const document = checkPatchedPort(applyJsonPatch(portDocumentOf(port, node.uuid), patch));
    if (document.node_uuid !== node.uuid) throw new InvalidParameterError(`Port ${port.uuid} belongs to node ${node.uuid}: delete it and create it at the other node.`);
    await deps.db.ports.update(port.id, portColumnsOf(document));
  });
  const { port, node } = await findPort(deps, found.port.uuid);
  response.json(representPort(port, node.uuid, selectFields(PORT_FIELDS, {}, 'all', context.minor), context.baseUrl));
}

function checkPatchFields(patch: JsonPatch, minor: number): void {
  for (const operation of patch) {
    const name = fieldOf(operation);
    if (!PORT_PATCHABLE.includes(name)) throw new InvalidParameterError(`Cannot patch ${operation.path}. Only the following can be updated: ${PORT_PATCHABLE.join(', ')}`);
    requireVersion(minor, PORT_FIELDS.find((field) => field.name === name)?.since ?? 1, `Field ${name}`);
  }
}

/** Ironic's rule; 400 because the state does not pass by itself. */
function refuseRewiring(node: NodeRow, patch: JsonPatch): void {
  const wiring = patch.map(fieldOf).filter((name) => PORT_WIRING.includes(name));
  if (wiring.length === 0 || node.maintenance || ['enroll', 'manageable'].includes(node.provisionState)) return;
  throw new InvalidParameterError(`Port can not have any connectivity attributes (${wiring.join(', ')}) updated unless node ${node.uuid} is in a enroll, manageable state or in maintenance mode. The current state is '${node.provisionState}'.`);
}

/** The ramdisk is known by these addresses. */
function refuseDuringSnapshot(node: NodeRow): void {
  if (hasTag(node.provisionState, 'powerRefused')) throw new ConflictError(`The ports of node ${node.uuid} can not be changed while a snapshot is under way; wait for its end or abort it.`);
}

async function findPort(deps: ApiDependencies, ident: string): Promise<{ port: PortRow; node: NodeRow }> {
  const port = await deps.db.ports.find(ident);
  if (!port) throw new NotFoundError(`Port ${ident} could not be found.`);
  return { port, node: await deps.db.nodes.get(port.nodeId) };
}
