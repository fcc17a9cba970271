import type { EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { NotFoundError } from '../../protocol/errors.ts';
import { readRows } from './row-reading.ts';

/** A property that holds text, a number, a flag or a time; or a member of one that holds a flat object. */
export type SortKey<Row> = (keyof Row & string) | `${keyof Row & string}.${string}`;

export interface Page<Row> {
  limit?: number;
  /** UUID of the row after which the page begins. */
  marker?: string;
  /** Default: `id`. */
  sortKey?: SortKey<Row>;
  sortDir?: 'asc' | 'desc';
  /** What is needed of each row; the rest is not read and missing in it. Default: everything. */
  columns?: readonly (keyof Row & string)[];
}

/**
 * Orders a query on `entity` and starts it after the marker: by the sort key, then by id, so that the order is total and a page is
 * never cut short or repeated. NULLs come first when ascending, last when descending, said in the query because
 * databases differ.
 * @param within leaves of a query only what the caller may see: a marker beyond that does not exist.
 * @throws NotFoundError for a marker that does not exist.
 */
export async function readPage<Row extends ObjectLiteral & { id: number; uuid: string }>(entity: EntitySchema<Row>, query: SelectQueryBuilder<Row>, page: Page<Row>, within: (query: SelectQueryBuilder<Row>) => void = () => undefined): Promise<Row[]> {
  const table = query.alias;
  const sortKey = page.sortKey ?? 'id';
  const [property, member] = sortKey.split('.') as [keyof Row & string, string | undefined];
  const column = member === undefined ? `${table}.${property}` : memberOf(query, `${table}.${property}`, member);
  const ascending = page.sortDir !== 'desc';
  const beyond = ascending ? '>' : '<';
  const direction = ascending ? 'ASC' : 'DESC';
  if (page.columns !== undefined) query.select(page.columns.map((name) => `${table}.${name}`));
  if (page.marker !== undefined) {
    const named = query.connection.manager.createQueryBuilder(entity, 'marker').where('marker.uuid = :uuid', { uuid: page.marker.toLowerCase() });
    within(named);
    const marker = await named.getOne();
    if (!marker) throw new NotFoundError(`Marker ${page.marker} could not be found.`, { marker: page.marker });
    const value: unknown = member === undefined ? marker[property] : ((marker[property] as Record<string, unknown>)[member] ?? null);
    const sameThenId = `(${value === null ? `${column} IS NULL` : `${column} = :markerValue`} AND ${table}.id ${beyond} :markerId)`;
    const further = value === null ? (ascending ? `${column} IS NOT NULL` : 'FALSE') : `${column} ${beyond} :markerValue${ascending ? '' : ` OR ${column} IS NULL`}`;
    query.andWhere(`(${sameThenId} OR ${further})`, { markerValue: value, markerId: marker.id });
  }
  const ordered = query
    .addSelect(`CASE WHEN ${column} IS NULL THEN 0 ELSE 1 END`, 'has_sort_value')
    .addSelect(`CASE WHEN TRUE THEN ${column} END`, 'sort_value') // an expression: TypeORM would take a plain column out of the row
    .orderBy('has_sort_value', direction)
    .addOrderBy('sort_value', direction)
    .addOrderBy(`${table}.id`, direction)
    .limit(page.limit);
  return readRows(entity, ordered, page.columns);
}

/** A member of a column that holds JSON as text. @param member a name from our own tables, never from outside: it becomes part of the statement. */
function memberOf<Row extends ObjectLiteral>(query: SelectQueryBuilder<Row>, column: string, member: string): string {
  if (!/^[a-z_]+$/.test(member)) throw new Error(`"${member}" is no member that can be sorted by`);
  return query.connection.options.type === 'postgres' ? `(CAST(${column} AS json) ->> '${member}')` : `json_extract(${column}, '$.${member}')`;
}
