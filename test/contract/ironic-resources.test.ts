/**
 * Requests of every kind about nodes, ports, port groups, volume records, VIFs and their neighbours at many versions, asked
 * of a real Ironic and of ours: the same status, headers and members. What differs is named in ironic-differences.ts, with its reason.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from '../unit/conductor/api/api-under-test.ts';
import { differenceOf, DIFFERENCES } from './ironic-differences.ts';
import { errorOf, readExchanges, Replay } from './ironic-recording.ts';

const exchanges = readExchanges('./ironic-exchanges-resources.jsonl');
const titleOf = ({ command, method, path, version, body }: (typeof exchanges)[number]): string => `${command}: ${method} ${path} at ${version} ${body === null ? '' : JSON.stringify(body)}`;

/** A marker is not told to be a node; a node is named by its UUID and not by its number. */
const WORDS_OF_OUR_OWN = /marker=|\/inventory$/;

let api: ApiUnderTest;
let replay: Replay;
beforeAll(async () => {
  api = await startApi();
  replay = new Replay(api);
});
afterAll(() => api.close());

describe('asked of a real Ironic', () => {
  test.each(exchanges.map((exchange) => [titleOf(exchange), exchange] as const))('%s', async (_title, exchange) => {
    const { reply } = exchange;
    const ours = await replay.ask(exchange);
    const difference = differenceOf(exchange);
    if (difference) {
      expect([ours.status, ours.status >= 400 ? Object.keys(ours.error ?? {}).length : 3]).toEqual([difference.status, 3]);
      return;
    }
    expect([ours.status, ours.error]).toEqual([reply.status, reply.status < 400 ? undefined : expect.anything()]);
    if (reply.status < 400) {
      replay.compareHeaders(exchange, ours);
      if (reply.body === '') expect(ours.body).toBe('');
      else replay.compareBodies(reply.body, ours.body, new Set(exchange.command === 'versions' ? ['description', 'version'] : []));
    } else if ((reply.status === 404 || reply.status === 409) && errorOf(reply.body).faultstring !== undefined && ours.error?.faultstring !== undefined && !WORDS_OF_OUR_OWN.test(exchange.path)) {
      expect(ours.error.faultstring).toBe(replay.toOurs(errorOf(reply.body).faultstring ?? ''));
    }
  });

  test.each(DIFFERENCES.map((difference) => [difference.about, difference] as const))('the difference about %s is one that the recording shows', (_about, difference) => {
    expect(exchanges.some((exchange) => differenceOf(exchange) === difference)).toBe(true);
  });
});
