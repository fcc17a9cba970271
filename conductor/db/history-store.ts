import { randomUUID } from 'node:crypto';
import { MoreThan, type EntityManager } from 'typeorm';
import { NotFoundError } from '../../protocol/errors.ts';
import { HistoryEntity } from './entities/history-entity.ts';
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

  /** @throws NotFoundError for a marker that is no line of this node. */
  listOf(nodeId: number, page: { limit?: number; marker?: string } = {}): Promise<HistoryRow[]> {
    return this.#connection.run(async (manager) => {
      const marker = page.marker === undefined ? null : await manager.findOneBy(HistoryEntity, { nodeId, uuid: page.marker.toLowerCase() });
      if (page.marker !== undefined && !marker) throw new NotFoundError(`Marker ${page.marker} could not be found.`);
      return manager.find(HistoryEntity, { where: { nodeId, ...(marker ? { id: MoreThan(marker.id) } : {}) }, order: { id: 'ASC' }, take: page.limit });
    });
  }

  find(nodeId: number, uuid: string): Promise<HistoryRow | null> {
    return this.#connection.run((manager) => manager.findOneBy(HistoryEntity, { nodeId, uuid: uuid.toLowerCase() }));
  }
}
