import type { QueryRunner, TableColumnOptions, TableForeignKeyOptions } from 'typeorm';

interface IndexOptions {
  name: string;
  columnNames: string[];
  isUnique?: boolean;
}

/** The words in which migrations describe tables: names are lists separated by white space. */
export interface SchemaParts {
  /** The database's own type for a moment in time. */
  time: string;
  id: TableColumnOptions;
  column(type: string, names: string): TableColumnOptions[];
  optional(type: string, names: string): TableColumnOptions[];
  unique(name: string, ...columnNames: string[]): IndexOptions;
  index(name: string, ...columnNames: string[]): IndexOptions;
  parent(name: string, columnName: string, table: string): TableForeignKeyOptions;
}

export function schemaParts(runner: QueryRunner): SchemaParts {
  const columns = (type: string, names: string, isNullable: boolean): TableColumnOptions[] => names.trim().split(/\s+/).map((name) => ({ name, type, isNullable }));
  return {
    time: runner.connection.driver.normalizeType({ type: Date }),
    id: { name: 'id', type: 'integer', isPrimary: true, isGenerated: true, generationStrategy: 'increment' },
    column: (type, names) => columns(type, names, false),
    optional: (type, names) => columns(type, names, true),
    unique: (name, ...columnNames) => ({ name, columnNames, isUnique: true }),
    index: (name, ...columnNames) => ({ name, columnNames }),
    parent: (name, columnName, table) => ({ name, columnNames: [columnName], referencedTableName: table, referencedColumnNames: ['id'], onDelete: 'CASCADE' }),
  };
}
