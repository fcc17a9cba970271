import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import { ConflictError, InvalidParameterError, NotFoundError } from '../../../protocol/errors.ts';
import { hasTag } from '../../../state-machine/provision-states.ts';
import type { NodeRow, PortgroupRow, PortRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields } from '../field-selection.ts';
import { applyJsonPatch, fieldOf, jsonPatchSchema, type JsonPatch } from '../json-patch.ts';
import { requireVersion } from '../microversion.ts';
import { findNode } from '../node-representation.ts';
import { cutPage, pageOf, pageQuery } from '../pages.ts';
import { checkNewPort, checkPatchedPort, PORT_PATCHABLE, PORT_WIRING, portColumnsOf, portDocumentOf } from '../port-document.ts';
import { maySee, visibleProject } from '../policy.ts';
import { PORT_DEFAULT_FIELDS, PORT_FIELDS, PORT_SORT_KEYS, representPort, type PortSurroundings } from '../port-fields.ts';
import { PORTGROUP_OF_PORT_MICROVERSION } from '../portgroup-resource.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf, booleanLike, commaList, macAddress, queryOf, uuidLike } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const NODE_IDENT_MICROVERSION = 94;

export const portListQuery = { ...pageQuery, fields: commaList.optional(), detail: booleanLike.optional() };
export const portFilterQuery = { ...portListQuery, node: z.string().optional(), node_uuid: uuidLike.optional(), portgroup: z.string().optional(), address: macAddress.optional() };

/** `/v1/ports`, `/v1/nodes/{ident}/ports` and `/v1/portgroups/{ident}/ports`. */
export function portRoutes(router: Router, deps: ApiDependencies): void {
  const list = (whole: boolean) => async (request: Request, response: Response, context: RequestContext) => {
    const { node, node_uuid: nodeUuid, portgroup, address, ...query } = queryOf(request, portFilterQuery);
    if (portgroup !== undefined) requireVersion(context.minor, PORTGROUP_OF_PORT_MICROVERSION, 'Filter portgroup');
    const ident = node ?? nodeUuid;
    const nodeId = ident === undefined ? undefined : (await findNode(deps, ident, context)).id;
    await listPorts(deps, request, response, context, query, whole, { address, nodeId, portgroupId: portgroup === undefined ? undefined : (await findPortgroup(deps, portgroup, context)).id });
  };
  const listOfNode = (whole: boolean) => async (request: Request, response: Response, context: RequestContext) => {
    const query = queryOf(request, portListQuery);
    await listPorts(deps, request, response, context, query, whole, { nodeId: (await findNode(deps, parameter(request, 'ident'), context)).id });
  };
  const listOfPortgroup = (whole: boolean) => async (request: Request, response: Response, context: RequestContext) => {
    const query = queryOf(request, portListQuery);
    await listPorts(deps, request, response, context, query, whole, { portgroupId: (await findPortgroup(deps, parameter(request, 'ident'), context)).id });
  };
  resource(router, '/nodes/:ident/ports', { GET: listOfNode(false) });
  resource(router, '/nodes/:ident/ports/detail', { GET: listOfNode(true) });
  resource(router, '/portgroups/:ident/ports', { GET: listOfPortgroup(false) }, PORTGROUP_OF_PORT_MICROVERSION);
  resource(router, '/portgroups/:ident/ports/detail', { GET: listOfPortgroup(true) }, PORTGROUP_OF_PORT_MICROVERSION);
  resource(router, '/ports', { GET: list(false), POST: (request, response, context) => createPort(deps, request, response, context) });
  resource(router, '/ports/detail', { GET: list(true) });
  resource(router, '/ports/:ident', {
    GET: async (request, response, context) => {
      const { fields } = queryOf(request, { fields: commaList.optional() });
      const selected = selectFields(PORT_FIELDS, { fields }, 'all', context.minor);
      const { port, around } = await findPort(deps, parameter(request, 'ident'));
      response.json(representPort(port, around, selected, context.baseUrl));
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

type ListQuery = z.output<z.ZodObject<typeof portListQuery>>;

async function listPorts(deps: ApiDependencies, request: Request, response: Response, context: RequestContext, query: ListQuery, whole: boolean, filter: { nodeId?: number; portgroupId?: number; address?: string }): Promise<void> {
  const selected = selectFields(PORT_FIELDS, query, whole ? 'all' : PORT_DEFAULT_FIELDS, context.minor);
  const page = pageOf(query, PORT_SORT_KEYS);
  const { rows, next } = cutPage(await deps.db.ports.list({ ...filter, ...page, visibleTo: visibleProject(context.caller) }), page, request, context.baseUrl);
  const nodeUuids = await deps.db.nodes.uuidsOf(rows.map((port) => port.nodeId));
  const groups = new Map((await deps.db.portgroups.withIds(rows.flatMap(({ portgroupId }) => portgroupId ?? []))).map(({ id, uuid }) => [id, uuid]));
  const around = (port: PortRow): PortSurroundings => ({ nodeUuid: nodeUuids.get(port.nodeId) ?? '', portgroupUuid: port.portgroupId === null ? null : (groups.get(port.portgroupId) ?? null) });
  response.json({ ports: rows.map((port) => representPort(port, around(port), selected, context.baseUrl)), ...(next === undefined ? {} : { next }) });
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
  const port = await deps.workflow.withLock(owner.uuid, async (node) => {
    const portgroupId = await portgroupOf(deps, node, columns.portgroup_uuid, columns.pxe_enabled === true, context);
    return deps.db.ports.create({ ...portColumnsOf(columns), portgroupId, nodeId: node.id, ...(uuid ? { uuid } : {}) });
  });
  response.status(201).location(`${context.baseUrl}/v1/ports/${port.uuid}`);
  response.json(representPort(port, { nodeUuid: owner.uuid, portgroupUuid: columns.portgroup_uuid ?? null }, selectFields(PORT_FIELDS, {}, 'all', context.minor), context.baseUrl));
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
    const document = checkPatchedPort(applyJsonPatch(portDocumentOf(port, (await findPort(deps, port.uuid)).around), patch));
    if (document.node_uuid !== node.uuid) throw new InvalidParameterError(`Port ${port.uuid} belongs to node ${node.uuid}: delete it and create it at the other node.`);
    const portgroupId = await portgroupOf(deps, node, document.portgroup_uuid, false, context);
    await deps.db.ports.update(port.id, { ...portColumnsOf(document), portgroupId });
  });
  const { port, around } = await findPort(deps, found.port.uuid);
  response.json(representPort(port, around, selectFields(PORT_FIELDS, {}, 'all', context.minor), context.baseUrl));
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

/** The port group that a document names. @throws InvalidParameterError unless it is one of the same node that takes this port. */
async function portgroupOf(deps: ApiDependencies, node: NodeRow, uuid: string | null | undefined, bootsByItself: boolean, context: RequestContext): Promise<number | null> {
  if (uuid === undefined || uuid === null) return null;
  const group = await visiblePortgroup(deps, uuid, context);
  if (!group) throw new InvalidParameterError(`Portgroup ${uuid} could not be found.`);
  if (group.nodeId !== node.id) throw new InvalidParameterError('Port can not be added to a portgroup belonging to a different node.');
  if (bootsByItself && !group.standalonePortsSupported) throw new InvalidParameterError(`Port group ${uuid} doesn't support standalone ports. This port cannot be created as a member of that portgroup as the port's 'pxe_enabled' field was set to True.`);
  return group.id;
}

/** Null also for one that does not exist for this caller. */
async function visiblePortgroup({ db }: ApiDependencies, ident: string, { caller }: RequestContext): Promise<PortgroupRow | null> {
  const group = await db.portgroups.find(ident);
  return group && maySee(caller, await db.nodes.get(group.nodeId)) ? group : null;
}

async function findPortgroup(deps: ApiDependencies, ident: string, context: RequestContext): Promise<PortgroupRow> {
  const group = await visiblePortgroup(deps, ident, context);
  if (!group) throw new NotFoundError(`Portgroup ${ident} could not be found.`);
  return group;
}

async function findPort(deps: ApiDependencies, ident: string): Promise<{ port: PortRow; node: NodeRow; around: PortSurroundings }> {
  const port = await deps.db.ports.find(ident);
  if (!port) throw new NotFoundError(`Port ${ident} could not be found.`);
  const node = await deps.db.nodes.get(port.nodeId);
  const [group] = port.portgroupId === null ? [] : await deps.db.portgroups.withIds([port.portgroupId]);
  return { port, node, around: { nodeUuid: node.uuid, portgroupUuid: group?.uuid ?? null } };
}
