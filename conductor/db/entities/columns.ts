import type { EntitySchemaColumnOptions } from 'typeorm';

/** A column for each property of the row: one that is forgotten does not compile. */
export type ColumnsOf<Row> = Record<keyof Row, EntitySchemaColumnOptions>;

/** Kinds of columns, in terms that TypeORM translates for each database. */
export const id = (): EntitySchemaColumnOptions => ({ type: 'integer', primary: true, generated: 'increment' });
export const reference = (): EntitySchemaColumnOptions => ({ type: 'integer' });
export const text = (): EntitySchemaColumnOptions => ({ type: 'text' });
export const integer = (): EntitySchemaColumnOptions => ({ type: 'integer' });
export const flag = (): EntitySchemaColumnOptions => ({ type: 'boolean' });
export const json = (): EntitySchemaColumnOptions => ({ type: 'simple-json' });
/** UTC with milliseconds. */
export const time = (): EntitySchemaColumnOptions => ({ type: Date });
/** Beyond 32 bits. PostgreSQL hands a bigint over as text; every size here is below 2^53. */
export const bytes = (): EntitySchemaColumnOptions => ({
  type: 'bigint',
  transformer: { to: (value: unknown) => value, from: (value: unknown) => (value === null || value === undefined ? null : Number(value)) },
});
export const nullable = (column: EntitySchemaColumnOptions): EntitySchemaColumnOptions => ({ ...column, nullable: true });
