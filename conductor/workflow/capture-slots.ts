import type { SnapshotPhase } from '../../protocol/provision.ts';
import type { SnapshotRow } from '../db/rows.ts';
import type { WorkflowParts } from './parts.ts';

/** From the server going down to its data being proven on the spool. */
const CAPTURING: readonly SnapshotPhase[] = ['quiesce', 'boot configuration', 'power on', 'await ramdisk', 'boot device back', 'command', 'streaming', 'verify'];

/** The limit of concurrent captures. Who holds a slot is the stored phase; only the decision is serialised here. */
export class CaptureSlots {
  readonly #parts: WorkflowParts;
  #deciding: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
  }

  /** Moves the snapshot out of the queue when a slot is free that nobody who waits longer needs. @returns whether it did. */
  claim(snapshot: SnapshotRow): Promise<boolean> {
    const decision = this.#deciding.then(async () => {
      const { snapshots } = this.#parts.db;
      const free = this.#parts.maxConcurrentCaptures - (await snapshots.countInPhases(CAPTURING));
      if ((await snapshots.countBefore(snapshot.id, 'queue')) >= free) return false;
      await snapshots.setPhase(snapshot.id, 'quiesce');
      return true;
    });
    this.#deciding = decision.catch(() => undefined); // the claimant hears of it; the next one decides afresh
    return decision;
  }

  /** The longest waiting snapshot, if a slot is free for it. */
  async next(): Promise<SnapshotRow | null> {
    const { snapshots } = this.#parts.db;
    if ((await snapshots.countInPhases(CAPTURING)) >= this.#parts.maxConcurrentCaptures) return null;
    return snapshots.oldestInPhase('queue');
  }
}
