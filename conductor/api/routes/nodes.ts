import type { Request, Response, Router } from 'express';
import { randomUUID } from 'node:crypto';
import { ConflictError, ForbiddenError } from '../../../protocol/errors.ts';
import type { Json, JsonObject } from '../../../protocol/json.ts';
import { hasTag, statesWith } from '../../../state-machine/provision-states.ts';
import type { NewNode } from '../../db/node-store.ts';
import type { NodeRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields } from '../field-selection.ts';
import { jsonPatchSchema } from '../json-patch.ts';
import { requireVersion } from '../microversion.ts';
import { changesOf, checkPatchFields, refuseForeignGroup, refuseImageCredentials } from '../node-changes.ts';
import { checkNewDocument, interfacesIn, WRITABLE_FIELDS } from '../node-document.ts';
import { columnsFor, NODE_DEFAULT_FIELDS, NODE_FIELDS, NODE_SORT_KEYS } from '../node-fields.ts';
import { nodeFilterQuery, nodeQueryOf } from '../node-filters.ts';
import { recordMaintenance } from '../maintenance.ts';
import { findNode, representNode, representNodes } from '../node-representation.ts';
import { cutPage, pageOf, pageQuery } from '../pages.ts';
import { visibleProject } from '../policy.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf, booleanLike, commaList, queryOf } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

const ENROLL_MICROVERSION = 11;
const RESET_INTERFACES_MICROVERSION = 45;

export const nodeListQuery = { ...pageQuery, ...nodeFilterQuery, fields: commaList.optional(), detail: booleanLike.optional() };
export const nodePatchQuery = { reset_interfaces: booleanLike.optional() };

/** `/v1/nodes`, `/v1/nodes/detail` and `/v1/nodes/{ident}`. */
export function nodeRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/nodes', {
    GET: (request, response, context) => listNodes(deps, request, response, context, false),
    POST: (request, response, context) => createNode(deps, request, response, context),
  });
  resource(router, '/nodes/detail', { GET: (request, response, context) => listNodes(deps, request, response, context, true) });
  resource(router, '/nodes/:ident', {
    GET: async (request, response, context) => {
      const { fields } = queryOf(request, { fields: commaList.optional() });
      const selected = selectFields(NODE_FIELDS, { fields }, 'all', context.minor);
      response.json(await representNode(deps, await findNode(deps, parameter(request, 'ident'), context), selected, context, fields === undefined));
    },
    PATCH: (request, response, context) => patchNode(deps, request, response, context),
    DELETE: (request, response, context) => deleteNode(deps, request, response, context),
  });
}

async function listNodes(deps: ApiDependencies, request: Request, response: Response, context: RequestContext, whole: boolean): Promise<void> {
  const { limit, marker, sort_key, sort_dir, fields, detail, ...filters } = queryOf(request, nodeListQuery);
  const selected = selectFields(NODE_FIELDS, { fields, detail }, whole ? 'all' : NODE_DEFAULT_FIELDS, context.minor);
  const sortField = NODE_FIELDS.find(({ name }) => name === sort_key);
  requireVersion(context.minor, sortField?.since ?? 1, `Sort key ${sort_key}`);
  const page = pageOf({ limit, marker, sort_key, sort_dir }, NODE_SORT_KEYS);
  const query = nodeQueryOf(filters, context.minor, deps.config.conductorName);
  const { rows, next } = cutPage(query ? await deps.db.nodes.list({ ...query, ...page, columns: columnsFor(selected), visibleTo: visibleProject(context.caller) }) : [], page, request, context.baseUrl);
  response.json({ nodes: await representNodes(deps, rows, selected, context, fields === undefined && (whole || detail === true)), ...(next === undefined ? {} : { next }) });
}

async function createNode(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const document = checkNewDocument(request.body ?? {});
  for (const { name, since } of WRITABLE_FIELDS) if (document[name] !== undefined && document[name] !== null) requireVersion(context.minor, since, `Field ${name}`);
  refuseImageCredentials(document);
  const node = await deps.db.nodes.create(newNodeFrom(deps, document, context));
  response.status(201).location(`${context.baseUrl}/v1/nodes/${node.uuid}`);
  response.json(await representNode(deps, node, selectFields(NODE_FIELDS, {}, 'all', context.minor), context, true));
}

function newNodeFrom(deps: ApiDependencies, document: JsonObject, { minor }: RequestContext): NewNode {
  const written: Partial<NewNode> = {};
  for (const field of WRITABLE_FIELDS) {
    const value: Json | undefined = document[field.name];
    if (value !== undefined && value !== null) Object.assign(written, field.write?.(value));
  }
  const driver = document['driver'] as string; // the schema has it as required
  const conductorGroup = written.conductorGroup || deps.config.conductorGroup;
  refuseForeignGroup(deps, driver, conductorGroup);
  return {
    ...written,
    driver,
    conductorGroup,
    uuid: (document['uuid'] as string | null | undefined) ?? randomUUID(),
    interfaces: deps.hardware.resolveInterfaces(driver, interfacesIn(document), conductorGroup),
    provisionState: minor < ENROLL_MICROVERSION ? 'available' : 'enroll',
  };
}

async function patchNode(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const { reset_interfaces: reset } = queryOf(request, nodePatchQuery);
  if (reset !== undefined) requireVersion(context.minor, RESET_INTERFACES_MICROVERSION, 'reset_interfaces');
  const patch = bodyOf(request, jsonPatchSchema);
  checkPatchFields(patch, context.minor);
  const { uuid, id } = await findNode(deps, parameter(request, 'ident'), context);
  await deps.workflow.withLock(uuid, async (node) => {
    const changes = changesOf(deps, node, patch, { resetInterfaces: reset ?? false, caller: context.caller });
    await deps.db.nodes.update(node.id, changes, node.reservation ?? undefined);
    await recordMaintenance(deps, node, { maintenance: node.maintenance, maintenanceReason: node.maintenanceReason, ...changes }, context.caller.user);
  });
  response.json(await representNode(deps, await deps.db.nodes.get(id), selectFields(NODE_FIELDS, {}, 'all', context.minor), context, true));
}

async function deleteNode(deps: ApiDependencies, request: Request, response: Response, context: RequestContext): Promise<void> {
  const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
  await deps.workflow.withLock(uuid, async (node) => {
    refuseDeletion(node);
    await deps.db.nodes.delete(node.id);
  });
  endEmpty(response, 204);
}

/** Maintenance lets a hopeless node go from any state but one in which its server runs our ramdisk. */
function refuseDeletion(node: NodeRow): void {
  if (hasTag(node.provisionState, 'powerRefused')) throw new ConflictError(`Can not delete node "${node.uuid}" while a snapshot of it is under way; wait for its end or abort it.`);
  if (!node.maintenance && node.instanceUuid !== null) throw new ConflictError(`Node ${node.uuid} is associated with instance ${node.instanceUuid}.`);
  if (node.protected) throw new ForbiddenError(`Node ${node.uuid} is protected and cannot be undeployed, rebuilt or deleted`);
  if (node.maintenance || hasTag(node.provisionState, 'deletable')) return;
  const valid = statesWith('deletable').map((state) => `'${state}'`).join(', ');
  throw new ConflictError(`Can not delete node "${node.uuid}" while it is in provision state "${node.provisionState}". Valid provision states to perform deletion are: "(${valid})", or set the node into maintenance mode`);
}
