/**
 * A signal that aborts after `timeoutMs`, or with the first of `others`. Node collects an `AbortSignal.timeout` that only
 * `AbortSignal.any` refers to, and its time then never comes; a timer is not collected. It keeps no process alive.
 */
export function deadline(timeoutMs: number, ...others: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DOMException(`not within ${timeoutMs / 1000} s`, 'TimeoutError')), timeoutMs).unref();
  return AbortSignal.any([controller.signal, ...others]);
}
