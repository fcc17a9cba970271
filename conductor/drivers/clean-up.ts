import { OperationFailedError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';

/** A clean-up of several parts: every part is tried, whatever happens to the others. */
export class CleanUp {
  readonly #log: Logger;
  readonly #errors: unknown[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  async attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn({ what, error: messageOf(error) }, 'part of the clean-up failed');
      this.#errors.push(error);
    }
  }

  /** @throws OperationFailedError naming everything that failed. */
  finish(): void {
    if (this.#errors.length > 0) throw new OperationFailedError(`Something is left behind: ${this.#errors.map(messageOf).join('; ')}`, {}, this.#errors[0]);
  }
}
