import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for a condition, never for a time: the first value that is not undefined, null or false.
 * @throws Error naming the condition (and what `state` shows) when it does not hold in time.
 */
export async function until<T>(condition: string, probe: () => T | undefined | null | false | Promise<T | undefined | null | false>, timeoutMs = 30_000, state?: () => unknown, intervalMs = 40): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() > giveUpAt) throw new Error(`Not within ${timeoutMs / 1000} s: ${condition}${state ? `\n${JSON.stringify(state(), null, 1)}` : ''}`);
    await sleep(intervalMs);
  }
}
