import type { z } from 'zod';
import type { Json, JsonObject } from '../../protocol/json.ts';
import type { Database } from '../db/database.ts';
import type { NodeRecord, NodeRecordStore, RecordPatch } from '../db/node-record-store.ts';
import type { NodeRow } from '../db/rows.ts';
import type { ApiDependencies } from './dependencies.ts';
import type { VersionedField } from './field-selection.ts';
import { linksTo } from './links.ts';
import type { RequestContext } from './request-context.ts';

export interface RecordField<Row> extends VersionedField {
  show(row: Row, nodeUuid: string): Json;
  /** Column that lists can be sorted by. */
  readonly sortKey?: keyof Row & string;
}

/** A kind of records of nodes as the API shows and takes it; record-routes makes the routes. */
export interface RecordResource<Row extends NodeRecord, Document extends { node_uuid: string; uuid?: string | null }> {
  /** Below `/v1`, for example `volume/connectors`. */
  path: string;
  /** Member of the list's reply. */
  collection: string;
  /** As messages name it: `Volume connector`. */
  noun: string;
  since: number;
  /** Since when it also stands below its node. */
  sinceBelowNode: number;
  /** Since when lists take `?detail=`. */
  detailSince: number;
  /** Whether its address may have a name in place of the UUID, and the list a sibling `/detail`. */
  named: boolean;
  fields: readonly RecordField<Row>[];
  defaultFields: readonly string[];
  /** Parts with their own address, as links of a whole reply. */
  parts: readonly string[];
  /** What a POST may hold. */
  document: z.ZodType<Document>;
  /** What a patched one may hold. */
  patched: z.ZodType<Document>;
  patchable: readonly string[];
  store(db: Database): NodeRecordStore<Row>;
  /** What a PATCH is applied to. */
  documentOf(row: Row, nodeUuid: string): JsonObject;
  columnsOf(document: Document): RecordPatch<Row>;
  /** Columns of a new row that no document names. */
  initial: RecordPatch<Row>;
  /** @throws MetalshotError when the node, or what belongs to the row, does not allow it now. Called under the node's lock. */
  refuse(action: 'update' | 'deletion', node: NodeRow, row: Row, deps: ApiDependencies): Promise<void>;
}

/** A row as replies show it: these fields and links. @param whole with links to its parts, as in replies that were not cut down to some fields. */
export function representRecord<Row extends NodeRecord>(kind: Pick<RecordResource<Row, { node_uuid: string }>, 'path' | 'parts'>, row: Row, nodeUuid: string, fields: readonly RecordField<Row>[], { baseUrl }: RequestContext, whole: boolean): JsonObject {
  const linksOf = (path: string): JsonObject[] => linksTo(baseUrl, path).map((link) => ({ ...link }));
  return {
    ...Object.fromEntries(fields.map((field) => [field.name, field.show(row, nodeUuid)])),
    links: linksOf(`${kind.path}/${row.uuid}`),
    ...(whole ? Object.fromEntries(kind.parts.map((part) => [part, linksOf(`${kind.path}/${row.uuid}/${part}`)])) : {}),
  };
}
