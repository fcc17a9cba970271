import { In, LessThan, type EntityManager, type FindOptionsWhere } from 'typeorm';
import type { JsonObject } from '../../protocol/json.ts';
import type { SnapshotPhase } from '../../protocol/provision.ts';
import { SnapshotDiskEntity, SnapshotEntity, type StoredSnapshot } from './entities/snapshot-entity.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { SnapshotDiskRow, SnapshotRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

export interface NewSnapshot {
  uuid: string;
  requestedBy: string;
  /** Protocol SnapshotOptions; absent: nothing special was asked for. */
  options?: JsonObject;
  /** Root disk first. */
  disks: { imageRef: string; imageName: string }[];
}
export type SnapshotPatch = Partial<Omit<StoredSnapshot, 'id' | 'uuid' | 'nodeId' | 'phase' | 'phaseStartedAt' | 'status' | 'finishedAt'>>;
export type SnapshotDiskPatch = Partial<Omit<SnapshotDiskRow, 'id' | 'snapshotId' | 'position' | 'imageRef' | 'heldImageRef'>>;

/** Adds a snapshot that begins, inside a transaction that is open. Its holders are held: the unique index refuses a second unfinished one. */
export async function insertSnapshot(manager: EntityManager, nodeId: number, snapshot: NewSnapshot): Promise<SnapshotRow> {
  const now = new Date();
  const { uuid, requestedBy, options = {} } = snapshot;
  await insertRow(manager, SnapshotEntity, { uuid, nodeId, requestedBy, options, phase: 'queue', status: 'unfinished', phaseStartedAt: now, startedAt: now });
  const { id } = await manager.findOneByOrFail(SnapshotEntity, { uuid });
  for (const [position, { imageRef, imageName }] of snapshot.disks.entries()) {
    await insertRow(manager, SnapshotDiskEntity, { snapshotId: id, position, imageRef, heldImageRef: imageRef.toLowerCase(), imageName, formatsSet: [] });
  }
  const [row] = await withDisks(manager, [await manager.findOneByOrFail(SnapshotEntity, { id })]);
  return row!;
}

/** Snapshots with their disks. Created by NodeStore.storeStep, together with the step that begins them. */
export class SnapshotStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  async latestOf(nodeId: number): Promise<SnapshotRow | null> {
    return (await this.latestOfMany([nodeId])).get(nodeId) ?? null;
  }

  /** The newest of each node; nodes without one are absent. Two queries, however many nodes. */
  latestOfMany(nodeIds: readonly number[]): Promise<Map<number, SnapshotRow>> {
    return this.#connection.run(async (manager) => {
      const rows = await manager
        .createQueryBuilder(SnapshotEntity, 'snapshot')
        .where((query) => `snapshot.id IN ${query.subQuery().select('MAX(newest.id)').from(SnapshotEntity, 'newest').where('newest.nodeId IN (:...nodeIds)').groupBy('newest.nodeId').getQuery()}`)
        .setParameter('nodeIds', nodeIds)
        .getMany();
      return new Map((await withDisks(manager, rows)).map((row) => [row.nodeId, row]));
    });
  }

  unfinished(): Promise<SnapshotRow[]> {
    return this.#select({ status: 'unfinished' });
  }

  async unfinishedOf(nodeId: number): Promise<SnapshotRow | null> {
    return (await this.#select({ nodeId, status: 'unfinished' })).at(-1) ?? null;
  }

  /** Of the unfinished ones only: a credential ends with its snapshot. */
  async byCredentialHash(hash: string): Promise<SnapshotRow | null> {
    return (await this.#select({ credentialHash: hash, status: 'unfinished' })).at(0) ?? null;
  }

  /** Whether an unfinished snapshot has this image as its target. */
  holderInUse(imageRef: string): Promise<boolean> {
    return this.#connection.run((manager) => manager.existsBy(SnapshotDiskEntity, { heldImageRef: imageRef.toLowerCase() }));
  }

  /** The disk that the node's newest finished snapshot was taken of: when it ended, and protocol CapturedDisk. */
  latestDevice(nodeId: number): Promise<{ finishedAt: Date; device: JsonObject } | null> {
    return this.#connection.run(async (manager) => {
      const snapshot = await manager.findOne(SnapshotEntity, { where: { nodeId, status: 'done' }, order: { id: 'DESC' } });
      if (!snapshot) return null;
      const disk = await manager.findOneBy(SnapshotDiskEntity, { snapshotId: snapshot.id, position: 0 });
      return disk?.device ? { finishedAt: snapshot.finishedAt ?? snapshot.startedAt, device: disk.device } : null;
    });
  }

  /** Stores that a phase begins now. */
  async setPhase(id: number, phase: SnapshotPhase): Promise<void> {
    await this.#connection.run((manager) => updateRows(manager, SnapshotEntity, { id }, { phase, phaseStartedAt: new Date() }));
  }

  async update(id: number, patch: SnapshotPatch): Promise<void> {
    if (Object.keys(patch).length > 0) await this.#connection.run((manager) => updateRows(manager, SnapshotEntity, { id }, patch));
  }

  async updateDisk(snapshotId: number, position: number, patch: SnapshotDiskPatch): Promise<void> {
    if (Object.keys(patch).length > 0) await this.#connection.run((manager) => updateRows(manager, SnapshotDiskEntity, { snapshotId, position }, patch));
  }

  /** Ends a snapshot: its credential is void and its holders are free. A failed one keeps the phase it ended in. Already ended: nothing is done. */
  finish(id: number, status: 'done' | 'failed', error: string | null): Promise<void> {
    return this.#connection.transaction(async (manager) => {
      const now = new Date();
      const phase = status === 'done' ? { phase: 'finished' as const, phaseStartedAt: now } : {};
      const ended = await updateRows(manager, SnapshotEntity, { id, status: 'unfinished' }, { status, error, finishedAt: now, credentialHash: null, ...phase });
      if (ended === 1) await updateRows(manager, SnapshotDiskEntity, { snapshotId: id }, { heldImageRef: null });
    });
  }

  /** Failed snapshots whose image holder still has formats that we gave it: those could not be taken back yet. */
  withFormatsLeft(): Promise<SnapshotRow[]> {
    return this.#connection.run(async (manager) => {
      const rows = await manager
        .createQueryBuilder(SnapshotEntity, 'snapshot')
        .where('snapshot.status = :status', { status: 'failed' })
        .andWhere((query) => `snapshot.id IN ${query.subQuery().select('disk.snapshotId').from(SnapshotDiskEntity, 'disk').where('disk.formatsSet <> :none').getQuery()}`)
        .setParameter('none', JSON.stringify([]))
        .orderBy('snapshot.id')
        .getMany();
      return withDisks(manager, rows);
    });
  }

  countInPhases(phases: readonly SnapshotPhase[]): Promise<number> {
    return this.#connection.run((manager) => manager.countBy(SnapshotEntity, { status: 'unfinished', phase: In([...phases]) }));
  }

  /** How many unfinished ones in this phase are older. */
  countBefore(id: number, phase: SnapshotPhase): Promise<number> {
    return this.#connection.run((manager) => manager.countBy(SnapshotEntity, { status: 'unfinished', phase, id: LessThan(id) }));
  }

  async oldestInPhase(phase: SnapshotPhase): Promise<SnapshotRow | null> {
    return (await this.#select({ status: 'unfinished', phase }, 1)).at(0) ?? null;
  }

  #select(where: FindOptionsWhere<StoredSnapshot>, limit?: number): Promise<SnapshotRow[]> {
    return this.#connection.run(async (manager) => withDisks(manager, await manager.find(SnapshotEntity, { where, order: { id: 'ASC' }, take: limit })));
  }
}

async function withDisks(manager: EntityManager, snapshots: readonly StoredSnapshot[]): Promise<SnapshotRow[]> {
  const disks = await manager.find(SnapshotDiskEntity, { where: { snapshotId: In(snapshots.map((snapshot) => snapshot.id)) }, order: { position: 'ASC' } });
  const rows = new Map(snapshots.map((snapshot): [number, SnapshotRow] => [snapshot.id, { ...snapshot, disks: [] }]));
  for (const disk of disks) rows.get(disk.snapshotId)?.disks.push(disk);
  return [...rows.values()];
}
