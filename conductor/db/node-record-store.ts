import { randomUUID } from 'node:crypto';
import type { EntityManager, EntitySchema, FindOptionsWhere } from 'typeorm';
import { ConflictError, NotFoundError } from '../../protocol/errors.ts';
import { readPage, type Page } from './paging.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { SerialConnection } from './serial-connection.ts';
import { isUniqueViolation } from './unique-violation.ts';
import { onlyOfProject } from './visible-nodes.ts';

/** A row that belongs to a node and goes with it. */
export interface NodeRecord {
  id: number;
  uuid: string;
  nodeId: number;
  createdAt: Date;
  updatedAt: Date | null;
}

export type RecordPatch<Row extends NodeRecord> = Partial<Omit<Row, 'id' | 'uuid' | 'createdAt' | 'updatedAt'>>;
/** What a new row needs; the rest has values of its own. */
export type NewRecord<Row extends NodeRecord> = Pick<Row, 'nodeId'> & { uuid?: string } & Omit<Row, keyof NodeRecord>;

export interface RecordQuery<Row> extends Page<Row> {
  nodeId?: number;
  /** Only rows of nodes that this project owns or leases. */
  visibleTo?: string;
  /** Columns with the value that they must have. */
  where?: Partial<Row>;
}

export interface RecordKind<Row extends NodeRecord> {
  entity: EntitySchema<Row>;
  /** As messages name it: `Volume connector`. */
  noun: string;
  /** The column by which a row can be found besides its UUID. */
  name?: keyof Row & string;
  /** Columns that no two rows may share, and how to say that of a row. */
  unique: readonly { columns: readonly (keyof Row & string)[]; words: (row: Partial<Row>) => string }[];
}

/** Rows of one kind that belong to nodes: port groups, volume connectors, volume targets. */
export class NodeRecordStore<Row extends NodeRecord> {
  readonly #connection: SerialConnection;
  readonly #kind: RecordKind<Row>;

  constructor(connection: SerialConnection, kind: RecordKind<Row>) {
    this.#connection = connection;
    this.#kind = kind;
  }

  /** By UUID (any case), or by name where this kind has names. */
  async find(ident: string): Promise<Row | null> {
    const { entity, name } = this.#kind;
    const uuid = ident.toLowerCase();
    const found = await this.#connection.run((manager) => {
      const records = manager.createQueryBuilder(entity, 'record').where('record.uuid = :uuid', { uuid });
      if (name !== undefined) records.orWhere(`record.${name} = :ident`, { ident });
      return records.getMany();
    });
    return found.find((record) => record.uuid === uuid) ?? found[0] ?? null;
  }

  /** @throws NotFoundError for an unknown marker. */
  list(query: RecordQuery<Row> = {}): Promise<Row[]> {
    return this.#connection.run((manager) => {
      const records = manager.createQueryBuilder(this.#kind.entity, 'record');
      if (query.nodeId !== undefined) records.andWhere('record.nodeId = :nodeId', { nodeId: query.nodeId });
      for (const [column, value] of Object.entries<unknown>(query.where ?? {})) if (value !== undefined) records.andWhere(`record.${column} = :${column}`, { [column]: value });
      const within = onlyOfProject<Row>(query.visibleTo);
      within(records);
      return readPage(this.#kind.entity, records, query, within);
    });
  }

  /** The rows with these ids, for what refers to them. */
  withIds(ids: readonly number[]): Promise<Row[]> {
    if (ids.length === 0) return Promise.resolve([]);
    return this.#connection.run((manager) => manager.createQueryBuilder(this.#kind.entity, 'record').where('record.id IN (:...ids)', { ids: [...new Set(ids)] }).getMany());
  }

  /** @throws ConflictError for what another row has and only one may have. */
  async create(record: NewRecord<Row>): Promise<Row> {
    const row = { ...record, uuid: (record.uuid ?? randomUUID()).toLowerCase(), createdAt: new Date(), updatedAt: null } as unknown as Omit<Row, 'id'> & { uuid: string };
    await this.#connection.run((manager) => insertRow(manager, this.#kind.entity, row as Partial<Row>)).catch((error: unknown) => this.#explain(error, row as Partial<Row>, -1));
    return (await this.find(row.uuid))!;
  }

  /** @throws ConflictError as create; NotFoundError when the row is gone. */
  async update(id: number, patch: RecordPatch<Row>): Promise<void> {
    const where = { id } as FindOptionsWhere<Row>;
    const values = { ...patch, updatedAt: new Date() } as unknown as Partial<Row>;
    const changed = await this.#connection.run((manager) => updateRows(manager, this.#kind.entity, where, values)).catch((error: unknown) => this.#explain(error, patch as Partial<Row>, id));
    if (changed !== 1) throw new NotFoundError(`${this.#kind.noun} ${id} could not be found.`);
  }

  async delete(id: number): Promise<void> {
    await this.#connection.run((manager) => manager.createQueryBuilder().delete().from(this.#kind.entity).where('id = :id', { id }).execute());
  }

  /** Which of the unique columns refused. */
  async #explain(error: unknown, written: Partial<Row>, exceptId: number): Promise<never> {
    if (!isUniqueViolation(error)) throw error;
    const { entity, noun, unique } = this.#kind;
    await this.#connection.run(async (manager) => {
      const before = await manager.createQueryBuilder(entity, 'record').where('record.id = :exceptId', { exceptId }).getOne();
      const row: Partial<Row> = { ...before, ...written };
      const identity = { columns: ['uuid'] as const, words: () => `A ${noun.toLowerCase()} with UUID ${row.uuid} already exists.` };
      for (const { columns, words } of [identity, ...unique]) {
        if (await this.#others(manager, columns, row, exceptId)) throw new ConflictError(words(row), {}, error);
      }
    });
    throw error;
  }

  async #others(manager: EntityManager, columns: readonly (keyof Row & string)[], row: Partial<Row>, exceptId: number): Promise<boolean> {
    if (columns.some((column) => row[column] === undefined || row[column] === null)) return false;
    const others = manager.createQueryBuilder(this.#kind.entity, 'record').where('record.id <> :exceptId', { exceptId });
    for (const column of columns) others.andWhere(`record.${column} = :${column}`, { [column]: row[column] });
    return (await others.getCount()) > 0;
  }
}
