import type { EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';

type ColumnMetadata = ReturnType<SelectQueryBuilder<ObjectLiteral>['connection']['getMetadata']>['columns'][number];

/**
 * The rows of a selection whose entity has no relations, in place of TypeORM's `getMany`: what that does for relations and
 * embedded entities takes longer than to read the rows.
 * @param columns the properties that the selection was cut down to; the others are missing in the rows. Default: all.
 */
export async function readRows<Row extends ObjectLiteral>(entity: EntitySchema<Row>, query: SelectQueryBuilder<Row>, columns?: readonly (keyof Row & string)[]): Promise<Row[]> {
  const { driver } = query.connection;
  const plan = query.connection
    .getMetadata(entity)
    .columns.filter(({ propertyName }) => columns?.includes(propertyName) ?? true)
    .map((column) => ({ column, property: column.propertyName, name: `${query.alias}_${column.databaseName}`, plain: isPlain(column) }));
  const rows = await query.getRawMany<Record<string, unknown>>();
  return rows.map((raw) => {
    const row: Record<string, unknown> = {};
    for (const { column, property, name, plain } of plan) row[property] = plain ? raw[name] : (driver.prepareHydratedValue(raw[name], column) as unknown);
    return row as Row;
  });
}

/** Text and whole numbers are what the database hands over. */
const isPlain = ({ type, transformer }: ColumnMetadata): boolean => transformer === undefined && (type === 'text' || type === 'integer');
