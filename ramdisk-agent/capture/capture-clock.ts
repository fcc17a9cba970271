import { OperationFailedError } from '../../protocol/errors.ts';

const CHECK_MS = 250;

/** The two limits of a capture: an absolute deadline, and a longest time without any movement. */
export class CaptureClock {
  /** Aborted by the command being stopped, by the deadline or by a stall; its reason is the error to report. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #deadlineAt: number;
  readonly #timer: NodeJS.Timeout;
  #movedAt = performance.now();

  constructor(stopped: AbortSignal, deadlineS: number, stallTimeoutS: number) {
    this.signal = AbortSignal.any([stopped, this.#abort.signal]);
    this.#deadlineAt = performance.now() + deadlineS * 1_000;
    this.#timer = setInterval(() => {
      const now = performance.now();
      if (now > this.#deadlineAt) this.#abort.abort(new OperationFailedError(`the capture did not end within its deadline of ${deadlineS} s`));
      else if (now - this.#movedAt > stallTimeoutS * 1_000) this.#abort.abort(new OperationFailedError(`the capture has made no progress for ${stallTimeoutS} s`));
    }, CHECK_MS);
  }

  /** To be called whenever something has moved. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  /** What is left until the deadline, at least 1 ms: a time-out for the next step. */
  get remainingMs(): number {
    return Math.max(1, this.#deadlineAt - performance.now());
  }

  release(): void {
    clearInterval(this.#timer);
  }
}
