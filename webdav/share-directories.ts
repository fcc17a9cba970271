import { readdir } from 'node:fs/promises';
import { ShareDirectory } from './share-directory.ts';
import { isSnapshotUuid } from './share-path.ts';
import type { Spool } from './spool.ts';

/**
 * The directories of all snapshots on the spool. One that stands on the disk and was not opened since the start (the conductor
 * died) is taken over when it is first asked for, so that a client that goes on after the restart finds it.
 */
export class ShareDirectories {
  readonly #spool: Spool;
  readonly #open = new Map<string, ShareDirectory>();
  /** Steps that make or remove a directory, one after the other for each snapshot. */
  readonly #steps = new Map<string, Promise<unknown>>();

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  /** Only what is open already. */
  peek(snapshotUuid: string): ShareDirectory | null {
    return this.#open.get(snapshotUuid) ?? null;
  }

  async find(snapshotUuid: string): Promise<ShareDirectory | null> {
    return this.peek(snapshotUuid) ?? (await this.#inTurn(snapshotUuid, async () => this.peek(snapshotUuid) ?? this.#keep(await ShareDirectory.reopen(snapshotUuid, this.#spool))));
  }

  async make(snapshotUuid: string, quotaBytes: number): Promise<ShareDirectory> {
    return await this.#inTurn(snapshotUuid, async () => {
      const standing = this.peek(snapshotUuid);
      if (standing) {
        await standing.setQuota(quotaBytes);
        return standing;
      }
      return this.#keep(await ShareDirectory.create(snapshotUuid, this.#spool, quotaBytes));
    });
  }

  /** Uploads are cut at once; resolved when nothing of the directory is left. */
  async remove(snapshotUuid: string): Promise<void> {
    await this.#inTurn(snapshotUuid, async () => {
      const directory = this.peek(snapshotUuid);
      if (directory) await directory.remove();
      else await ShareDirectory.removeFrom(this.#spool, snapshotUuid);
      this.#open.delete(snapshotUuid);
    });
  }

  /** One that is open is in use, whatever the list says. */
  async removeOrphans(known: ReadonlySet<string>): Promise<string[]> {
    const orphans = (await readdir(this.#spool.directory)).filter((name) => isSnapshotUuid(name) && !known.has(name) && !this.#open.has(name));
    for (const orphan of orphans) await this.remove(orphan);
    return orphans;
  }

  /** Cuts all uploads; the directories stay on the disk. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((directory) => directory.close()));
    this.#open.clear();
  }

  #keep<T extends ShareDirectory | null>(directory: T): T {
    if (directory) this.#open.set(directory.snapshotUuid, directory);
    return directory;
  }

  async #inTurn<T>(snapshotUuid: string, step: () => Promise<T>): Promise<T> {
    const before = this.#steps.get(snapshotUuid);
    const turn = (async (): Promise<T> => {
      await before?.catch(() => undefined); // told to the one who asked for it
      return await step();
    })();
    this.#steps.set(snapshotUuid, turn);
    try {
      return await turn;
    } finally {
      if (this.#steps.get(snapshotUuid) === turn) this.#steps.delete(snapshotUuid);
    }
  }
}
