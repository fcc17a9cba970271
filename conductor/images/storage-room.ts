import { statfs } from 'node:fs/promises';
import { TemporarilyUnavailableError } from '../../protocol/errors.ts';

/** Bytes that somebody is going to write. */
export interface RoomClaim {
  /** So many are still to be written. @throws TemporarilyUnavailableError when there is no room for more. */
  change(bytes: number): Promise<void>;
  /** So many are left to be written of those that were claimed. */
  left(bytes: number): void;
  release(): void;
}

const LOOK_INTERVAL_MS = 1_000;

/** The file system of fetched images: what it has free, less what is claimed and not written yet, less a reserve. */
export class StorageRoom {
  readonly #directory: string;
  readonly #reserveBytes: number;
  readonly #claims = new Map<symbol, number>();

  constructor(directory: string, reserveBytes: number) {
    this.#directory = directory;
    this.#reserveBytes = reserveBytes;
  }

  /** @throws TemporarilyUnavailableError when `bytes` more would leave less than the reserve. */
  async claim(bytes: number): Promise<RoomClaim> {
    const key = Symbol('claim');
    const change = async (wanted: number): Promise<void> => {
      await this.#requireRoom(key, wanted);
      this.#claims.set(key, wanted);
    };
    await change(bytes);
    return {
      change,
      left: (left) => void this.#claims.set(key, Math.max(0, left)),
      release: () => void this.#claims.delete(key),
    };
  }

  /**
   * Does work that fills the file system, with a signal that stops it when others fill it too and the reserve is broken into.
   * @throws TemporarilyUnavailableError then.
   */
  async whileRoomy<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const short = new AbortController();
    let looking = false;
    const look = async (): Promise<void> => {
      if (looking) return;
      looking = true;
      const freeBytes = await this.#freeBytes();
      looking = false;
      if (freeBytes < this.#reserveBytes) short.abort(new TemporarilyUnavailableError(`The file system of fetched images has only ${freeBytes} bytes left, less than its reserve of ${this.#reserveBytes} (deploy.image_reserve_bytes). Free space in ${this.#directory}.`, { freeBytes, reserveBytes: this.#reserveBytes }));
    };
    const timer = setInterval(() => void look().catch((error: unknown) => short.abort(error)), LOOK_INTERVAL_MS);
    try {
      return await work(AbortSignal.any([signal, short.signal]));
    } catch (error) {
      throw short.signal.aborted ? short.signal.reason : error;
    } finally {
      clearInterval(timer);
    }
  }

  async #requireRoom(key: symbol, bytes: number): Promise<void> {
    const freeBytes = await this.#freeBytes();
    const claimedBytes = [...this.#claims].reduce((sum, [other, claimed]) => (other === key ? sum : sum + claimed), 0);
    if (freeBytes - claimedBytes - bytes >= this.#reserveBytes) return;
    throw new TemporarilyUnavailableError(
      `The image needs ${bytes} bytes in ${this.#directory}, which has ${freeBytes} free, ${claimedBytes} of them claimed by other images; ${this.#reserveBytes} must stay free (deploy.image_reserve_bytes). Free space there, or set deploy.image_directory.`,
      { freeBytes, claimedBytes, neededBytes: bytes, reserveBytes: this.#reserveBytes },
    );
  }

  async #freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory);
    return bavail * bsize;
  }
}
