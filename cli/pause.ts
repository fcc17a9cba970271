import { setTimeout as delay } from 'node:timers/promises';
import { InterruptedError } from './exit-code.ts';

/** Waits `ms` milliseconds. @throws InterruptedError as soon as `signal` fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (signal.aborted) throw new InterruptedError();
    throw error;
  }
}
