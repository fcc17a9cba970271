import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';

const INTERVAL_MS = 1_000;

/** Stores a figure that moves fast: at most once a second, one write at a time, the last one for certain. */
export class ThrottledProgress<Figure> {
  readonly #store: (figure: Figure) => Promise<void>;
  readonly #log: Logger;
  #latest: { figure: Figure } | undefined;
  #writing: Promise<void> | undefined;
  #lastAt = 0;

  constructor(store: (figure: Figure) => Promise<void>, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  note(figure: Figure): void {
    this.#latest = { figure };
    if (this.#writing || Date.now() - this.#lastAt < INTERVAL_MS) return;
    this.#lastAt = Date.now();
    this.#writing = this.#write().finally(() => (this.#writing = undefined));
  }

  async settle(): Promise<void> {
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    if (!this.#latest) return;
    await this.#store(this.#latest.figure).catch((error: unknown) => this.#log.warn({ error: messageOf(error) }, 'progress could not be stored')); // a figure for people, not worth the work itself
  }
}
