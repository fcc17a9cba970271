/**
 * A signal that aborts after `timeoutMs`, or with the first of `others`. Node collects an `AbortSignal.timeout` that only
 * `AbortSignal.any` refers to, and its time then never comes; a timer is not collected. It keeps no process alive.
 */
export function deadline(timeoutMs: number, ...others: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  abortLater(controller, timeoutMs);
  return AbortSignal.any([controller.signal, ...others]);
}

/** Does work with such a signal, and lets go of its timer when the work has ended. */
export async function withDeadline<T>(timeoutMs: number, others: readonly AbortSignal[], work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const timer = abortLater(controller, timeoutMs);
  try {
    return await work(AbortSignal.any([controller.signal, ...others]));
  } finally {
    clearTimeout(timer);
  }
}

const abortLater = (controller: AbortController, timeoutMs: number): NodeJS.Timeout =>
  setTimeout(() => controller.abort(new DOMException(`not within ${timeoutMs / 1000} s`, 'TimeoutError')), timeoutMs).unref();
