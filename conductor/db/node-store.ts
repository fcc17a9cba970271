import { In, IsNull, LessThanOrEqual, Not, type EntityManager } from 'typeorm';
import { ConflictError, NotFoundError } from '../../protocol/errors.ts';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { Step } from '../../state-machine/provision-states.ts';
import { NodeEntity } from './entities/node-entity.ts';
import { PortEntity } from './entities/port-entity.ts';
import { rowOf, type NewNode } from './new-node.ts';
import { columnsOf, type NodePatch } from './node-patch.ts';
import { filterNodes, onlyNodesOf, type NodeQuery } from './node-query.ts';
import { readPage } from './paging.ts';
import { readRows } from './row-reading.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { NodeRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';
import { HolderInUse, swapState, type StepOptions, type StoredStep } from './stored-step.ts';
import { isUniqueViolation } from './unique-violation.ts';

export type { NewNode, NodePatch, NodeQuery, StepOptions, StoredStep };

export class NodeStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  /** By UUID (any case) or by name. */
  async find(ident: string): Promise<NodeRow | null> {
    const found = await this.#connection.run((manager) => readRows(NodeEntity, manager.createQueryBuilder(NodeEntity, 'node').where('node.uuid = :uuid OR node.name = :ident', { uuid: ident.toLowerCase(), ident })));
    return found.find((node) => node.uuid === ident.toLowerCase()) ?? found[0] ?? null;
  }

  /** @throws NotFoundError */
  async get(id: number): Promise<NodeRow> {
    const [node] = await this.#connection.run((manager) => readRows(NodeEntity, manager.createQueryBuilder(NodeEntity, 'node').where('node.id = :id', { id })));
    if (!node) throw new NotFoundError(`Node ${id} could not be found.`);
    return node;
  }

  /** @throws ConflictError for a UUID, name or instance UUID that another node has. */
  async create(node: NewNode): Promise<NodeRow> {
    const row = rowOf(node);
    await this.#connection.run((manager) => insertRow(manager, NodeEntity, row)).catch((error: unknown) => this.#explain(error, row));
    return (await this.find(row.uuid))!;
  }

  /** One query, whatever the number of nodes. @throws NotFoundError for an unknown marker. */
  list(query: NodeQuery = {}): Promise<NodeRow[]> {
    return this.#connection.run((manager) => readPage(NodeEntity, filterNodes(manager.createQueryBuilder(NodeEntity, 'node'), query), query, onlyNodesOf(query.visibleTo)));
  }

  inStates(states: readonly ProvisionState[]): Promise<NodeRow[]> {
    return this.#connection.run((manager) => manager.find(NodeEntity, { where: { provisionState: In([...states]) }, order: { id: 'ASC' } }));
  }

  /** UUID by id, for what refers to nodes. */
  async uuidsOf(ids: readonly number[]): Promise<Map<number, string>> {
    const nodes = await this.#connection.run((manager) => manager.find(NodeEntity, { select: { id: true, uuid: true }, where: { id: In([...new Set(ids)]) } }));
    return new Map(nodes.map((node) => [node.id, node.uuid]));
  }

  /** Servers still to be brought back to their own disk whose next try is due; one that failed counts only with a next try. */
  withPendingBootBack(now: Date): Promise<NodeRow[]> {
    const due = LessThanOrEqual(now);
    return this.#connection.run((manager) =>
      manager.find(NodeEntity, {
        where: [
          { bootBack: 'pending', bootBackNextAt: IsNull() },
          { bootBack: 'pending', bootBackNextAt: due },
          { bootBack: 'failed', bootBackNextAt: due },
        ],
        order: { id: 'ASC' },
      }),
    );
  }

  /** The nodes that have a port with one of these MAC addresses. */
  findByAddresses(addresses: readonly string[]): Promise<NodeRow[]> {
    const lowered = addresses.map((address) => address.toLowerCase());
    return this.#connection.run((manager) =>
      manager
        .createQueryBuilder(NodeEntity, 'node')
        .where((query) => `node.id IN ${query.subQuery().select('port.nodeId').from(PortEntity, 'port').where('port.address IN (:...lowered)').getQuery()}`)
        .setParameter('lowered', lowered)
        .orderBy('node.id')
        .getMany(),
    );
  }

  /**
   * @param reservedBy the write happens only while the lock is held under this name.
   * @throws ConflictError when the lock was lost, or for a name or instance UUID that another node has; NotFoundError.
   */
  async update(id: number, patch: NodePatch, reservedBy?: string): Promise<void> {
    const columns = { ...columnsOf(patch), updatedAt: new Date() };
    const where = { id, ...(reservedBy === undefined ? {} : { reservation: reservedBy }) };
    const changed = await this.#connection.run((manager) => updateRows(manager, NodeEntity, where, columns)).catch((error: unknown) => this.#explain(error, patch, id));
    if (changed === 1) return;
    const node = await this.get(id);
    throw new ConflictError(`${reservedBy} lost the lock of node ${node.uuid}, which ${node.reservation ?? 'nobody'} holds now: nothing was changed.`, { node: node.uuid, holder: node.reservation });
  }

  /** With its ports, snapshots, history and traits: their foreign keys cascade. */
  async delete(id: number): Promise<void> {
    await this.#connection.run((manager) => manager.delete(NodeEntity, { id }));
  }

  /** Takes the lock if it is free; false when it is not (also when `holder` has it already). Leaves `updated_at` alone. */
  async reserve(id: number, holder: string): Promise<boolean> {
    const taken = await this.#connection.run((manager) => updateRows(manager, NodeEntity, { id, reservation: IsNull() }, { reservation: holder }));
    return taken === 1;
  }

  /** Lets the lock go, if `holder` has it. */
  async release(id: number, holder: string): Promise<void> {
    await this.#connection.run((manager) => updateRows(manager, NodeEntity, { id, reservation: holder }, { reservation: null }));
  }

  /** Lets all locks go: the processes that held them are gone. Returns how many there were. */
  clearReservations(): Promise<number> {
    return this.#connection.run((manager) => updateRows(manager, NodeEntity, { reservation: Not(IsNull()) }, { reservation: null }));
  }

  /** The nodes whose lock one of these conductors holds. */
  reservedBy(holders: readonly string[]): Promise<NodeRow[]> {
    return this.#connection.run((manager) => manager.find(NodeEntity, { where: { reservation: In([...holders]) }, order: { id: 'ASC' } }));
  }

  /** Takes the lock from a holder that is gone, without a moment in which it is free; false when that one does not have it any more. */
  async takeOver(id: number, from: string, to: string): Promise<boolean> {
    const taken = await this.#connection.run((manager) => updateRows(manager, NodeEntity, { id, reservation: from }, { reservation: to }));
    return taken === 1;
  }

  /** Hands out the ramdisk of a boot: from `armed` to `served`, by whoever is first; false for everybody else. */
  async claimRamdiskBoot(id: number, bootNonceHash: string): Promise<boolean> {
    const claimed = await this.#connection.run((manager) => updateRows(manager, NodeEntity, { id, ramdiskBoot: 'armed' }, { ramdiskBoot: 'served', bootNonceHash }));
    return claimed === 1;
  }

  /** Notes that somebody boots again what the ramdisk was handed out for: from `served` to `left`, by whoever is first; false otherwise. */
  async noteRamdiskLeft(id: number): Promise<boolean> {
    const noted = await this.#connection.run((manager) => updateRows(manager, NodeEntity, { id, ramdiskBoot: 'served' }, { ramdiskBoot: 'left' }));
    return noted === 1;
  }

  /** The nodes with a power change under way. */
  withPowerTarget(): Promise<NodeRow[]> {
    return this.#connection.run((manager) => manager.find(NodeEntity, { where: { targetPowerState: Not(IsNull()) }, order: { id: 'ASC' } }));
  }

  /**
   * The only writer of a provision state after creation: compare-and-swap from `step.from` under the lock that
   * `options` names, with the line of history and the snapshot or operation that the step begins, all or nothing.
   * @throws NotFoundError
   */
  async storeStep(id: number, step: Step, options: StepOptions): Promise<StoredStep> {
    try {
      return await this.#connection.transaction((manager) => swapState(manager, id, step, options));
    } catch (error) {
      if (!(error instanceof HolderInUse)) throw error;
      return { stored: false, reason: 'holder in use', node: await this.get(id) };
    }
  }

  /** Which of the unique columns refused, in Ironic's words. */
  async #explain(error: unknown, node: NodePatch & { uuid?: string }, exceptId = -1): Promise<never> {
    if (!isUniqueViolation(error)) throw error;
    const { name, uuid, instanceUuid } = node;
    await this.#connection.run(async (manager: EntityManager) => {
      const other = Not(exceptId);
      if (uuid !== undefined && (await manager.existsBy(NodeEntity, { uuid, id: other }))) throw new ConflictError(`A node with UUID ${uuid} already exists.`, { uuid }, error);
      if (name && (await manager.existsBy(NodeEntity, { name, id: other }))) throw new ConflictError(`A node with name ${name} already exists.`, { name }, error);
      const owner = instanceUuid ? await manager.findOneBy(NodeEntity, { instanceUuid, id: other }) : null;
      if (owner) throw new ConflictError(`Instance ${instanceUuid} is already associated with a node, it cannot be associated with this other node ${uuid ?? exceptId}.`, { instanceUuid, node: owner.uuid }, error);
    });
    throw error;
  }
}
