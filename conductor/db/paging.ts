import type { EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { NotFoundError } from '../../protocol/errors.ts';

export interface Page<Row> {
  limit?: number;
  /** UUID of the row after which the page begins. */
  marker?: string;
  /** A property that holds text, a number, a flag or a time. Default: `id`. */
  sortKey?: keyof Row & string;
  sortDir?: 'asc' | 'desc';
}

/**
 * Orders a query on `entity` and starts it after the marker: by the sort key, then by id, so that the order is total and a page is
 * never cut short or repeated. NULLs come first when ascending, last when descending, said in the query because
 * databases differ.
 * @throws NotFoundError for a marker that does not exist.
 */
export async function readPage<Row extends ObjectLiteral & { id: number; uuid: string }>(entity: EntitySchema<Row>, query: SelectQueryBuilder<Row>, page: Page<Row>): Promise<Row[]> {
  const table = query.alias;
  const sortKey = page.sortKey ?? 'id';
  const column = `${table}.${sortKey}`;
  const ascending = page.sortDir !== 'desc';
  const beyond = ascending ? '>' : '<';
  const direction = ascending ? 'ASC' : 'DESC';
  if (page.marker !== undefined) {
    const marker = await query.connection.manager.createQueryBuilder(entity, 'marker').where('marker.uuid = :uuid', { uuid: page.marker.toLowerCase() }).getOne();
    if (!marker) throw new NotFoundError(`Marker ${page.marker} could not be found.`, { marker: page.marker });
    const value: unknown = marker[sortKey];
    const sameThenId = `(${value === null ? `${column} IS NULL` : `${column} = :markerValue`} AND ${table}.id ${beyond} :markerId)`;
    const further = value === null ? (ascending ? `${column} IS NOT NULL` : 'FALSE') : `${column} ${beyond} :markerValue${ascending ? '' : ` OR ${column} IS NULL`}`;
    query.andWhere(`(${sameThenId} OR ${further})`, { markerValue: value, markerId: marker.id });
  }
  return query
    .addSelect(`CASE WHEN ${column} IS NULL THEN 0 ELSE 1 END`, 'has_sort_value')
    .orderBy('has_sort_value', direction)
    .addOrderBy(column, direction)
    .addOrderBy(`${table}.id`, direction)
    .limit(page.limit)
    .getMany();
}
