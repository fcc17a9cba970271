import { OperationFailedError } from '../protocol/errors.ts';

const CHECK_MS = 250;

/** The two limits of long work: an absolute deadline, and a longest time without any movement. */
export class ProgressClock {
  /** Aborted by `stopped`, by the deadline or by a stall; its reason is the error to report. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #deadlineAt: number;
  readonly #timer: NodeJS.Timeout;
  #movedAt = performance.now();

  /** @param work what it is called in errors, for example "the capture". */
  constructor(work: string, stopped: AbortSignal, deadlineS: number, stallTimeoutS: number) {
    this.signal = AbortSignal.any([stopped, this.#abort.signal]);
    this.#deadlineAt = performance.now() + deadlineS * 1_000;
    this.#timer = setInterval(() => {
      const now = performance.now();
      if (now > this.#deadlineAt) this.#abort.abort(new OperationFailedError(`${work} did not end within its deadline of ${deadlineS} s`));
      else if (now - this.#movedAt > stallTimeoutS * 1_000) this.#abort.abort(new OperationFailedError(`${work} has made no progress for ${stallTimeoutS} s`));
    }, CHECK_MS);
  }

  /** To be called whenever something has moved. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  /** A time-out for the next step: what is left until the deadline, and a little more, so that it is this clock's reason that is told. */
  get remainingMs(): number {
    return Math.max(1, this.#deadlineAt - performance.now()) + 4 * CHECK_MS;
  }

  release(): void {
    clearInterval(this.#timer);
  }
}
