import { describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { withDeadline } from '../../../protocol/deadline.ts';

const never = (signal: AbortSignal): Promise<never> => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));

describe('work with a deadline', () => {
  test('is told when its time is over, or when one of the others says so', async () => {
    await expect(withDeadline(10, [], never)).rejects.toMatchObject({ name: 'TimeoutError', message: 'not within 0.01 s' });
    const stop = new AbortController();
    const stopped = withDeadline(60_000, [stop.signal], never);
    stop.abort(new Error('stopped'));
    await expect(stopped).rejects.toThrow('stopped');
  });

  test.each([
    ['done', () => Promise.resolve('done')],
    ['failed', () => Promise.reject(new Error('failed'))],
  ])('leaves no timer behind when it is %s', async (_end, work) => {
    let given: AbortSignal | undefined;
    await withDeadline(10, [], (signal) => {
      given = signal;
      return work();
    }).catch(() => undefined);
    await pause(30); // timers fire in the order in which they are due
    expect(given?.aborted).toBe(false);
  });
});
