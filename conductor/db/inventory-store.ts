import type { Inventory } from '../../protocol/inventory.ts';
import type { JsonObject } from '../../protocol/json.ts';
import { InventoryEntity } from './entities/inventory-entity.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { InventoryRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

/** What ramdisks have found in nodes: the newest of each. */
export class InventoryStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  /** Takes the place of what was known of the node. */
  save(nodeId: number, found: Inventory): Promise<void> {
    const row = { inventory: found as unknown as JsonObject, createdAt: new Date() };
    return this.#connection.transaction(async (manager) => {
      if ((await updateRows(manager, InventoryEntity, { nodeId }, row)) === 0) await insertRow(manager, InventoryEntity, { nodeId, ...row });
    });
  }

  ofNode(nodeId: number): Promise<InventoryRow | null> {
    return this.#connection.run((manager) => manager.findOneBy(InventoryEntity, { nodeId }));
  }
}
