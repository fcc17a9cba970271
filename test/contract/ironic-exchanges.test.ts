/**
 * Exchanges of the stock `baremetal` client with a real Ironic, asked of our API in the same order: status, headers,
 * addresses, members and values have to be the same. What differs is named here, and in docs/ironic-differences.md.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from '../unit/conductor/api/api-under-test.ts';
import { errorOf, readExchanges, Replay } from './ironic-recording.ts';

const exchanges = readExchanges('./ironic-exchanges.jsonl');

/** Resources that this service does not have: as any path that does not exist. */
const OUT_OF_SCOPE = /^cli (node (bios|console|passthru) |allocation |chassis |deploy template )/;
/** Verbs that this service's machine does not have. */
const OTHER_VERBS = /^cli node (inspect|rescue|unrescue) /;
/** Work of drivers, or of verbs that are not here, that the double of the workflow does not do: only that the member is there. */
const WORK_OF_DRIVERS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^cli node (unrescue|rescue) /, ['instance_info', 'provision_state']],
  [/^cli node (deploy|rebuild|undeploy) .*--wait/, ['instance_info', 'provision_state', 'target_provision_state', 'power_state', 'deploy_step', 'clean_step']],
  [/^cli node (manage|provide) .*--wait/, ['power_state', 'provision_state', 'target_provision_state', 'instance_info', 'clean_step']],
  [/^cli node (inspect|clean) /, ['power_state', 'properties', 'provision_state', 'target_provision_state', 'last_error', 'clean_step', 'maintenance', 'maintenance_reason', 'fault', 'instance_info']],
  [/^cli node show gold-1 -f json/, ['instance_info', 'properties', 'power_state']],
  [/^cli node list --(limit|sort)/, ['provision_state', 'power_state', 'maintenance']],
  [/^cli node list --driver/, ['provision_state', 'power_state', 'maintenance']],
];

let api: ApiUnderTest;
let replay: Replay;
beforeAll(async () => {
  api = await startApi();
  api.workflow.failing.add('clean'); // as the recorded one did
  replay = new Replay(api);
});
afterAll(() => api.close());

describe('recorded from a real Ironic', () => {
  test.each(exchanges.map((exchange, index) => [index, exchange.command, exchange] as const))('%d %s', async (_index, command, exchange) => {
    const { method, path, reply } = exchange;
    const ours = await replay.ask(exchange);
    if (OUT_OF_SCOPE.test(command)) {
      expect([ours.status, ours.error]).toEqual([404, { code: 404, title: 'Not Found', description: 'The resource could not be found.' }]);
      return;
    }
    if (OTHER_VERBS.test(command) && method === 'PUT') {
      expect([ours.status, ours.error?.faultstring]).toEqual([400, expect.stringMatching(/^The requested action "\w+" can not be performed/)]);
      return;
    }
    expect(ours.status).toBe(reply.status);
    replay.compareHeaders(exchange, ours);
    if (reply.status >= 400) compareErrors(reply.body, ours.error);
    else if (reply.body === '') expect(ours.body).toBe('');
    else if (/\/properties$/.test(path)) expect(Object.values(ours.body as object).every((description) => typeof description === 'string')).toBe(true);
    else replay.compareBodies(reply.body, ours.body, new Set(WORK_OF_DRIVERS.find(([pattern]) => pattern.test(command))?.[1]));
  });

  function compareErrors(recorded: unknown, ours: ReturnType<typeof Object>): void {
    const theirs = errorOf(recorded);
    // the order in which the deletable states are named is Python's of a tuple
    const comparable = (words = ''): string => replay.toOurs(words).replace(/Valid provision states.*$/, '');
    const found = ours as { faultstring?: string };
    expect({ ...found, faultstring: comparable(found.faultstring) }).toEqual({ ...theirs, faultstring: comparable(theirs.faultstring) });
  }
});
