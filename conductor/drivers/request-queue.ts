import { OperationFailedError } from '../../protocol/errors.ts';

/** One after the other, in the order of asking: BMCs lose or mix up commands that arrive at the same time. */
export class RequestQueue {
  #tail: Promise<void> = Promise.resolve();

  /** Runs `work` when all before it has ended. @throws OperationFailedError when `signal` ends the wait; `work` is then never run. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#tail;
    let leave = (): void => undefined;
    const mine = new Promise<void>((resolve) => (leave = resolve));
    this.#tail = before.then(() => mine);
    try {
      await endedOrAborted(before, signal);
      return await work();
    } finally {
      leave();
    }
  }
}

async function endedOrAborted(before: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = (): OperationFailedError => new OperationFailedError('the operation was stopped before its turn', {}, signal.reason);
  if (signal.aborted) throw stopped();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => (onAbort = () => reject(stopped())));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([before, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
