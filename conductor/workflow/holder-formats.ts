import { deadline } from '../../protocol/deadline.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { SnapshotDiskRow, SnapshotRow } from '../db/rows.ts';
import { isWhatWasCaptured } from '../drivers/snapshot/image-upload.ts';
import { noteEvent } from './history-lines.ts';
import type { WorkflowParts } from './parts.ts';

const CHECK_TIMEOUT_MS = 60_000;

/**
 * Takes back what a failed snapshot has left on its image holder when the image service was away: the formats that we set,
 * and what is half-made there unseen. Repeated until it is done; what stands in the way is logged once. An image that has
 * data by now, or is gone, or is the target of another snapshot, is not the holder that was left any more: it stays as it is,
 * since so long after it may be anybody's; the node's history tells of data that are not proven to be what was captured.
 */
export class HolderFormats {
  readonly #parts: WorkflowParts;
  /** Disks whose trouble was told. */
  readonly #told = new Set<number>();

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
  }

  async round(): Promise<void> {
    for (const snapshot of await this.#parts.db.snapshots.withFormatsLeft()) {
      for (const disk of snapshot.disks) {
        if (disk.formatsSet.length > 0) await this.#takeBack(snapshot, disk);
      }
    }
  }

  async #takeBack(snapshot: SnapshotRow, disk: SnapshotDiskRow): Promise<void> {
    const { background, db, images, log } = this.#parts;
    if (await db.snapshots.holderInUse(disk.imageRef)) return;
    try {
      const signal = deadline(CHECK_TIMEOUT_MS, background.signal);
      const image = await images.settle(disk.imageRef, { timeoutMs: 0, ours: null, signal });
      const isLeft = image?.status === 'queued';
      if (isLeft) await images.setFormats(disk.imageRef, Object.fromEntries(disk.formatsSet.map((name) => [name, null])), signal);
      if (image?.status === 'active' && !isWhatWasCaptured(disk, image)) {
        await noteEvent(this.#parts, { id: snapshot.nodeId }, 'conductor', `Image ${disk.imageRef} has data that are not proven to be what the failed snapshot ${snapshot.uuid} captured: unless a later snapshot or somebody else put them there, that snapshot did before its end. Look at them, and remove them if nobody needs them.`);
      }
      await db.snapshots.updateDisk(snapshot.id, disk.position, { formatsSet: [] });
      this.#told.delete(disk.id);
      if (!isLeft) return;
      log.info({ snapshot: snapshot.uuid, image: disk.imageRef }, 'image holder of a failed snapshot has its formats taken back');
      await noteEvent(this.#parts, { id: snapshot.nodeId }, 'conductor', `The image holder ${disk.imageRef} of the failed snapshot ${snapshot.uuid} is as it was found now: its formats were taken back.`);
    } catch (error) {
      if (background.signal.aborted || this.#told.has(disk.id)) return; // tried again next time, told once
      this.#told.add(disk.id);
      log.warn({ snapshot: snapshot.uuid, image: disk.imageRef, error: messageOf(error) }, 'formats of an image holder can not be taken back yet; it is tried again');
    }
  }
}
