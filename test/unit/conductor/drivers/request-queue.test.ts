import { describe, expect, test } from '@jest/globals';
import { RequestQueue } from '../../../../conductor/drivers/request-queue.ts';

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Work that ends when told to. */
function held(): { work: () => Promise<string>; end(result: string): void; fail(error: Error): void; started: () => boolean } {
  let started = false;
  let end: (result: string) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const done = new Promise<string>((resolve, reject) => ([end, fail] = [resolve, reject]));
  return { work: () => ((started = true), done), end, fail, started: () => started };
}

describe('a queue of requests', () => {
  test('runs one after the other, in order, and goes on after a failure', async () => {
    const queue = new RequestQueue();
    const [first, second, third] = [held(), held(), held()];
    const results = [first, second, third].map((each) => queue.run(each.work, never).catch((error: Error) => error.message));
    await turn();
    expect([first.started(), second.started()]).toEqual([true, false]);
    first.fail(new Error('broken'));
    await turn();
    expect([second.started(), third.started()]).toEqual([true, false]);
    second.end('two');
    third.end('three');
    expect(await Promise.all(results)).toEqual(['broken', 'two', 'three']);
  });

  test('lets go of who is stopped while waiting, without letting the next one in too early', async () => {
    const queue = new RequestQueue();
    const [first, second, third] = [held(), held(), held()];
    const stop = new AbortController();
    const running = queue.run(first.work, never);
    const stopped = queue.run(second.work, stop.signal);
    const next = queue.run(third.work, never);
    stop.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('stopped before its turn');
    await turn();
    expect([second.started(), third.started()]).toEqual([false, false]);
    first.end('one');
    third.end('three');
    expect([await running, await next]).toEqual(['one', 'three']);
    expect(second.started()).toBe(false);
  });
});
