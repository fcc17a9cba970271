import { In } from 'typeorm';
import { TraitEntity } from './entities/trait-entity.ts';
import { insertRow } from './row-writing.ts';
import type { SerialConnection } from './serial-connection.ts';

/** The traits of nodes: each a name, once a node. */
export class TraitStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  async listOf(nodeId: number): Promise<string[]> {
    return (await this.listOfMany([nodeId])).get(nodeId) ?? [];
  }

  /** Nodes without traits are absent. */
  listOfMany(nodeIds: readonly number[]): Promise<Map<number, string[]>> {
    return this.#connection.run(async (manager) => {
      const traits = new Map<number, string[]>();
      for (const row of await manager.find(TraitEntity, { where: { nodeId: In([...nodeIds]) }, order: { trait: 'ASC' } })) {
        traits.set(row.nodeId, [...(traits.get(row.nodeId) ?? []), row.trait]);
      }
      return traits;
    });
  }

  /** Puts these traits in the place of all others. */
  set(nodeId: number, traits: readonly string[]): Promise<void> {
    return this.#connection.transaction(async (manager) => {
      await manager.delete(TraitEntity, { nodeId });
      for (const trait of new Set(traits)) await insertRow(manager, TraitEntity, { nodeId, trait });
    });
  }

  /** Already there: nothing is done. */
  add(nodeId: number, trait: string): Promise<void> {
    return this.#connection.transaction(async (manager) => {
      if (!(await manager.existsBy(TraitEntity, { nodeId, trait }))) await insertRow(manager, TraitEntity, { nodeId, trait });
    });
  }

  /** Whether the node had it. */
  async remove(nodeId: number, trait: string): Promise<boolean> {
    const { affected } = await this.#connection.run((manager) => manager.delete(TraitEntity, { nodeId, trait }));
    return affected === 1;
  }
}
