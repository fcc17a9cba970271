import { randomUUID } from 'node:crypto';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { HistoryEntity } from './entities/history-entity.ts';
import { readPage, type Page } from './paging.ts';
import { insertRow } from './row-writing.ts';
import type { HistoryRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

export type NewHistory = Omit<HistoryRow, 'id' | 'uuid' | 'createdAt'>;

/** Adds a line with its own identity and time, inside a transaction that is open. */
export async function insertHistory(manager: EntityManager, line: NewHistory): Promise<void> {
  await insertRow(manager, HistoryEntity, { ...line, uuid: randomUUID(), createdAt: new Date() });
}

/** What has happened to a node, oldest first. Transitions are written by NodeStore.storeStep. */
export class HistoryStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  record(line: NewHistory): Promise<void> {
    return this.#connection.run((manager) => insertHistory(manager, line));
  }

  /** Oldest first unless the page says otherwise. @throws NotFoundError for a marker that is no line of this node. */
  listOf(nodeId: number, page: Page<HistoryRow> = {}): Promise<HistoryRow[]> {
    const within = (query: SelectQueryBuilder<HistoryRow>): void => void query.andWhere(`${query.alias}.nodeId = :nodeId`, { nodeId });
    return this.#connection.run((manager) => {
      const lines = manager.createQueryBuilder(HistoryEntity, 'line');
      within(lines);
      return readPage(HistoryEntity, lines, page, within);
    });
  }

  find(nodeId: number, uuid: string): Promise<HistoryRow | null> {
    return this.#connection.run((manager) => manager.findOneBy(HistoryEntity, { nodeId, uuid: uuid.toLowerCase() }));
  }
}
