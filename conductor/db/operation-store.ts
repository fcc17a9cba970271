import type { EntityManager, FindOptionsWhere } from 'typeorm';
import type { JsonObject } from '../../protocol/json.ts';
import type { OperationKind, OperationPhase } from '../../protocol/provision.ts';
import { NodeEntity } from './entities/node-entity.ts';
import { OperationEntity } from './entities/operation-entity.ts';
import { columnsOf, type NodePatch } from './node-patch.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { OperationRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

export interface NewOperation {
  uuid: string;
  kind: OperationKind;
  requestedBy: string;
  /** What is to be written; null for a cleaning, and where nothing is named. */
  image: JsonObject | null;
  generalize: JsonObject | null;
}
export type OperationStorePatch = Partial<Omit<OperationRow, 'id' | 'uuid' | 'nodeId' | 'kind' | 'phase' | 'phaseStartedAt' | 'status' | 'finishedAt' | 'startedAt' | 'requestedBy'>>;

/** Adds an operation that begins; `manager` may be that of a transaction. A deployment begins with its image, a cleaning with the server going down. */
export async function insertOperation(manager: EntityManager, nodeId: number, operation: NewOperation): Promise<OperationRow> {
  const now = new Date();
  const phase: OperationPhase = operation.kind === 'clean' ? 'quiesce' : 'fetch image';
  await insertRow(manager, OperationEntity, { ...operation, nodeId, phase, status: 'unfinished', diskTouched: false, phaseStartedAt: now, startedAt: now });
  return manager.findOneByOrFail(OperationEntity, { uuid: operation.uuid });
}

/** Deployments, rebuilds and cleanings. Those of a verb are created by NodeStore.storeStep, together with the step that begins them. */
export class OperationStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  create(nodeId: number, operation: NewOperation): Promise<OperationRow> {
    return this.#connection.run((manager) => insertOperation(manager, nodeId, operation));
  }

  async latestOf(nodeId: number): Promise<OperationRow | null> {
    return (await this.latestOfMany([nodeId])).get(nodeId) ?? null;
  }

  /** The newest of each node; nodes without one are absent. One query, however many nodes. */
  latestOfMany(nodeIds: readonly number[]): Promise<Map<number, OperationRow>> {
    return this.#connection.run(async (manager) => {
      const rows = await manager
        .createQueryBuilder(OperationEntity, 'operation')
        .where((query) => `operation.id IN ${query.subQuery().select('MAX(newest.id)').from(OperationEntity, 'newest').where('newest.nodeId IN (:...nodeIds)').groupBy('newest.nodeId').getQuery()}`)
        .setParameter('nodeIds', nodeIds)
        .getMany();
      return new Map(rows.map((row) => [row.nodeId, row]));
    });
  }

  unfinished(): Promise<OperationRow[]> {
    return this.#select({ status: 'unfinished' });
  }

  async unfinishedOf(nodeId: number): Promise<OperationRow | null> {
    return (await this.#select({ nodeId, status: 'unfinished' })).at(-1) ?? null;
  }

  /** Of the unfinished ones only: a credential ends with its operation. */
  async byCredentialHash(hash: string): Promise<OperationRow | null> {
    return (await this.#select({ credentialHash: hash, status: 'unfinished' })).at(0) ?? null;
  }

  /** The newest that is done and knows the disk it worked on. */
  latestWithDevice(nodeId: number): Promise<OperationRow | null> {
    return this.#connection.run((manager) => manager.createQueryBuilder(OperationEntity, 'operation').where("operation.nodeId = :nodeId AND operation.status = 'done' AND operation.device IS NOT NULL", { nodeId }).orderBy('operation.id', 'DESC').limit(1).getOne());
  }

  /** Stores that a phase begins now. */
  async setPhase(id: number, phase: OperationPhase): Promise<void> {
    await this.#connection.run((manager) => updateRows(manager, OperationEntity, { id }, { phase, phaseStartedAt: new Date() }));
  }

  async update(id: number, patch: OperationStorePatch): Promise<void> {
    if (Object.keys(patch).length > 0) await this.#connection.run((manager) => updateRows(manager, OperationEntity, { id }, patch));
  }

  /** Ends an operation: its credential is void. A failed one keeps the phase it ended in. `nodePatch` is stored on its node, together or not at all. Already ended: nothing is done. */
  async finish(id: number, status: 'done' | 'failed', error: string | null, nodePatch: NodePatch = {}): Promise<void> {
    const now = new Date();
    const phase = status === 'done' ? { phase: 'finished' as const, phaseStartedAt: now } : {};
    await this.#connection.transaction(async (manager) => {
      const ended = await updateRows(manager, OperationEntity, { id, status: 'unfinished' }, { status, error, finishedAt: now, credentialHash: null, ...phase });
      if (ended !== 1 || Object.keys(nodePatch).length === 0) return;
      const { nodeId } = await manager.findOneByOrFail(OperationEntity, { id });
      await updateRows(manager, NodeEntity, { id: nodeId }, { ...columnsOf(nodePatch), updatedAt: now });
    });
  }

  #select(where: FindOptionsWhere<OperationRow>): Promise<OperationRow[]> {
    return this.#connection.run((manager) => manager.find(OperationEntity, { where, order: { id: 'ASC' } }));
  }
}
