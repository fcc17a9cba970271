import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/log.ts';

/** Parts of the conductor's heartbeat timeout between which the interval is drawn, as Ironic's agent does. */
const SHORTEST_PART = 0.3;
const LONGEST_PART = 0.6;
/** At most one heartbeat in this time, however often one is forced. */
const SHORTEST_GAP_MS = 5_000;
const FIRST_RETRY_MS = 5_000;

export interface HeartbeatOptions {
  /** Sends one. @throws when the conductor has not taken it. */
  send(signal: AbortSignal): Promise<void>;
  timeoutS: number;
  log: Logger;
  shortestGapMs?: number;
  firstRetryMs?: number;
}

/**
 * Tells the conductor again and again that this agent is alive: at once, then at random intervals, sooner after a failure
 * (also a refusal: it is logged, and the next may be taken), and soon when something has happened.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #stop = new AbortController();
  #forced = false;
  #wake = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** The next heartbeat goes out as soon as the shortest gap allows. */
  force(): void {
    this.#forced = true;
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { send, log, shortestGapMs = SHORTEST_GAP_MS, firstRetryMs = FIRST_RETRY_MS } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      this.#forced = false;
      this.#wake = new AbortController();
      let pauseMs = this.#drawInterval();
      try {
        await send(this.#stop.signal);
        if (failures > 0) log.info({ failures }, 'heartbeats are taken again');
        failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        failures += 1;
        pauseMs = Math.min(pauseMs, firstRetryMs * 2 ** (failures - 1));
        log.error({ problem: messageOf(error), failures, retryInMs: Math.round(pauseMs) }, 'heartbeat failed');
      }
      await this.#pause(Math.min(shortestGapMs, pauseMs), this.#stop.signal);
      const restMs = pauseMs - shortestGapMs;
      if (restMs > 0 && !this.#forced) await this.#pause(restMs, AbortSignal.any([this.#stop.signal, this.#wake.signal]));
    }
  }

  #drawInterval(): number {
    return this.#options.timeoutS * 1_000 * (SHORTEST_PART + Math.random() * (LONGEST_PART - SHORTEST_PART));
  }

  async #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    try {
      await sleep(milliseconds, undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error; // being woken is what the signal is for
    }
  }
}
