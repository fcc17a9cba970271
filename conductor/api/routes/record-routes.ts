import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import { InvalidParameterError, NotFoundError } from '../../../protocol/errors.ts';
import { UUID_PATTERN } from '../../../protocol/provision.ts';
import type { NodeRecord, NewRecord } from '../../db/node-record-store.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { selectFields } from '../field-selection.ts';
import { applyJsonPatch, fieldOf, jsonPatchSchema } from '../json-patch.ts';
import { requireVersion } from '../microversion.ts';
import { findNode } from '../node-representation.ts';
import { cutPage, pageOf, pageQuery } from '../pages.ts';
import { visibleProject } from '../policy.ts';
import { representRecord, type RecordField, type RecordResource } from '../record-resource.ts';
import type { RequestContext } from '../request-context.ts';
import { bodyOf, booleanLike, check, commaList, macAddress, queryOf } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

export const recordListQuery = { ...pageQuery, fields: commaList.optional(), detail: booleanLike.optional() };
export const volumeFilterQuery = { ...recordListQuery, node: z.string().optional() };
export const portgroupFilterQuery = { ...volumeFilterQuery, address: macAddress.optional() };

/** The routes of one kind of records: its list, its list below a node, and each record. */
export function recordRoutes<Row extends NodeRecord, Document extends { node_uuid: string; uuid?: string | null }>(router: Router, deps: ApiDependencies, kind: RecordResource<Row, Document>): void {
  const routes = new RecordRoutes(deps, kind);
  const { path, named, since, sinceBelowNode } = kind;
  resource(router, `/${path}`, { GET: (...args) => routes.list(...args, false), POST: (...args) => routes.create(...args) }, since);
  if (named) resource(router, `/${path}/detail`, { GET: (...args) => routes.list(...args, true) }, since);
  resource(router, `/${path}/:ident`, { GET: (...args) => routes.show(...args), PATCH: (...args) => routes.patch(...args), DELETE: (request, response) => routes.delete(request, response) }, since);
  resource(router, `/nodes/:ident/${path}`, { GET: (...args) => routes.list(...args, false) }, sinceBelowNode);
  if (named) resource(router, `/nodes/:ident/${path}/detail`, { GET: (...args) => routes.list(...args, true) }, sinceBelowNode);
}

const sortKeysOf = <Row>(fields: readonly RecordField<Row>[]): Record<string, keyof Row & string> =>
  Object.fromEntries([['id', 'id' as keyof Row & string], ...fields.flatMap(({ name, sortKey }) => (sortKey === undefined ? [] : [[name, sortKey] as const]))]);

class RecordRoutes<Row extends NodeRecord, Document extends { node_uuid: string; uuid?: string | null }> {
  readonly #deps: ApiDependencies;
  readonly #kind: RecordResource<Row, Document>;

  constructor(deps: ApiDependencies, kind: RecordResource<Row, Document>) {
    this.#deps = deps;
    this.#kind = kind;
  }

  async list(request: Request, response: Response, context: RequestContext, whole: boolean): Promise<void> {
    const kind = this.#kind;
    const below = request.params['ident'] !== undefined;
    const { node: filter, address, ...query } = queryOf(request, below ? recordListQuery : kind.named ? portgroupFilterQuery : volumeFilterQuery) as z.output<z.ZodObject<typeof portgroupFilterQuery>>;
    const selected = selectFields(kind.fields, query, whole ? 'all' : kind.defaultFields, context.minor, kind.detailSince);
    requireVersion(context.minor, kind.fields.find(({ name }) => name === query.sort_key)?.since ?? 1, `Sort key ${query.sort_key}`);
    const page = pageOf(query, sortKeysOf(kind.fields));
    const ident = below ? parameter(request, 'ident') : filter;
    const nodeId = ident === undefined ? undefined : (await findNode(this.#deps, ident, context)).id;
    const found = await kind.store(this.#deps.db).list({ ...page, nodeId, visibleTo: visibleProject(context.caller), ...(address === undefined ? {} : { where: { address } as unknown as Partial<Row> }) });
    const { rows, next } = cutPage(found, page, request, context.baseUrl);
    const nodeUuids = await this.#deps.db.nodes.uuidsOf(rows.map((row) => row.nodeId));
    const isWhole = query.fields === undefined && (whole || query.detail === true);
    response.json({ [kind.collection]: rows.map((row) => representRecord(kind, row, nodeUuids.get(row.nodeId) ?? '', selected, context, isWhole)), ...(next === undefined ? {} : { next }) });
  }

  async show(request: Request, response: Response, context: RequestContext): Promise<void> {
    const { fields } = queryOf(request, { fields: commaList.optional() });
    const selected = selectFields(this.#kind.fields, { fields }, 'all', context.minor);
    const { row, nodeUuid } = await this.#find(parameter(request, 'ident'));
    response.json(representRecord(this.#kind, row, nodeUuid, selected, context, fields === undefined));
  }

  async create(request: Request, response: Response, context: RequestContext): Promise<void> {
    const kind = this.#kind;
    const document = bodyOf(request, kind.document);
    for (const { name, since } of kind.fields) if (document[name as keyof Document]) requireVersion(context.minor, since, `Field ${name}`);
    const owner = await this.#deps.db.nodes.find(document.node_uuid);
    if (!owner) throw new InvalidParameterError(`Node ${document.node_uuid} could not be found.`); // 400: the address of this request is right
    const row = await this.#deps.workflow.withLock(owner.uuid, (node) =>
      kind.store(this.#deps.db).create({ ...kind.initial, ...kind.columnsOf(document), nodeId: node.id, ...(document.uuid ? { uuid: document.uuid } : {}) } as unknown as NewRecord<Row>),
    );
    response.status(201).location(`${context.baseUrl}/v1/${kind.path}/${row.uuid}`);
    response.json(representRecord(kind, row, owner.uuid, selectFields(kind.fields, {}, 'all', context.minor), context, true));
  }

  async patch(request: Request, response: Response, context: RequestContext): Promise<void> {
    const kind = this.#kind;
    const patch = bodyOf(request, jsonPatchSchema);
    for (const operation of patch) {
      const name = fieldOf(operation);
      if (!kind.patchable.includes(name)) throw new InvalidParameterError(`Cannot patch ${operation.path}. Only the following can be updated: ${kind.patchable.join(', ')}`);
      requireVersion(context.minor, kind.fields.find((field) => field.name === name)?.since ?? 1, `Field ${name}`);
    }
    const found = await this.#find(parameter(request, 'ident'));
    const store = kind.store(this.#deps.db);
    await this.#deps.workflow.withLock(found.nodeUuid, async (node) => {
      const { row } = await this.#find(found.row.uuid);
      const patched = check(kind.patched, applyJsonPatch(kind.documentOf(row, node.uuid), patch), kind.noun.toLowerCase());
      if (patched.node_uuid !== node.uuid) throw new InvalidParameterError(`${kind.noun} ${row.uuid} belongs to node ${node.uuid}: delete it and create it at the other node.`);
      await kind.refuse('update', node, row, this.#deps);
      await store.update(row.id, kind.columnsOf(patched));
    });
    const { row, nodeUuid } = await this.#find(found.row.uuid);
    response.json(representRecord(kind, row, nodeUuid, selectFields(kind.fields, {}, 'all', context.minor), context, true));
  }

  async delete(request: Request, response: Response): Promise<void> {
    const { row, nodeUuid } = await this.#find(parameter(request, 'ident'));
    await this.#deps.workflow.withLock(nodeUuid, async (node) => {
      await this.#kind.refuse('deletion', node, row, this.#deps);
      await this.#kind.store(this.#deps.db).delete(row.id);
    });
    endEmpty(response, 204);
  }

  async #find(ident: string): Promise<{ row: Row; nodeUuid: string }> {
    const { noun, named, store } = this.#kind;
    if (!named && !UUID_PATTERN.test(ident)) throw new InvalidParameterError(`${noun} ${ident}: expected a UUID.`);
    const row = await store(this.#deps.db).find(ident);
    if (!row) throw new NotFoundError(`${noun} ${ident} could not be found.`);
    return { row, nodeUuid: (await this.#deps.db.nodes.get(row.nodeId)).uuid };
  }
}
