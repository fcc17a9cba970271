import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';

/** Work that outlives the request that asked for it. Known by name, so that stopping can end it and wait for it. */
export class BackgroundWork {
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
    setMaxListeners(0, this.#stop.signal); // whatever runs or sleeps listens to it, and lets go when it ends
  }

  /** Aborted when the conductor stops. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts `work` at once. What it throws is logged: whoever has to know is told by the work itself. */
  start(name: string, work: () => Promise<void>): void {
    if (this.#stop.signal.aborted) return;
    const running = work()
      .catch((error: unknown) => this.#log.error({ work: name, error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'background work failed'))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Repeats `work`, pausing between the end of one run and the start of the next, until the conductor stops. */
  every(name: string, intervalMs: number, work: () => Promise<void>): void {
    this.start(name, async () => {
      while (!this.#stop.signal.aborted) {
        try {
          await work();
        } catch (error) {
          this.#log.error({ work: name, error: messageOf(error) }, 'periodic work failed; it will be tried again'); // the next round may do better
        }
        await sleep(intervalMs, undefined, { signal: this.#stop.signal }).catch(() => undefined); // stopped: the loop ends
      }
    });
  }

  /** Aborts everything and waits until it has let go. What was under way is settled by recovery at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the conductor is stopping'));
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
