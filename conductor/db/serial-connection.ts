import type { DataSource, EntityManager } from 'typeorm';

/**
 * Runs the database's work one piece after the other.
 *
 * Why: TypeORM's sqlite driver has a single connection. Whatever is sent while a transaction is open on it becomes
 * part of that transaction: a foreign write is rolled back with it, a foreign read sees what is not committed, and a
 * second BEGIN fails. So every piece of work, reads too, waits for its turn. With a pool of connections (PostgreSQL)
 * `take` is the one place to relax.
 */
export class SerialConnection {
  readonly #source: DataSource;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(source: DataSource) {
    this.#source = source;
  }

  /** One read, or one write that is a single statement. `work` uses the given manager only and never another store. */
  run<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.#take(() => work(this.#source.manager));
  }

  /** Several statements that are stored together or not at all: rolled back when `work` throws. Same rule for `work`. */
  transaction<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.#take(() => this.#source.transaction(work));
  }

  /** Lets the work that is queued end, then closes. Closing twice is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.#take(() => this.#source.destroy());
    this.#closed = true;
    await closing;
  }

  #take<T>(turn: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new Error('the database is closed: no more work is taken'));
    const result = this.#last.then(turn);
    this.#last = result.catch(() => undefined); // its caller is told; the next in the queue is not concerned
    return result;
  }
}
