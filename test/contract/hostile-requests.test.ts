import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../protocol/json.ts';
import { requestTo } from './hostile/arbitraries.ts';
import { HEAVY_BODIES } from './hostile/heavy-bodies.ts';
import { PROVISIONING_ROUTES, routesOf, type Route } from './hostile/routes.ts';
import { ServiceUnderFire, VICTIMS } from './hostile/service.ts';
import { faultOf, reachedResource } from './hostile/verdict.ts';
import { hangUp, send, type HostileRequest } from './hostile/wire.ts';

/** Together at least five thousand; more, and with another seed, by the environment. */
const RUNS = Number(process.env['HOSTILE_RUNS'] ?? 6_000);
const SEED = process.env['HOSTILE_SEED'] === undefined ? undefined : Number(process.env['HOSTILE_SEED']);
const TIMEOUT_MS = 300_000;
/** After so many requests what they may have deleted is made again, and what they may not have touched is looked at. */
const INSPECT_EVERY = 250;

let service: ServiceUnderFire;
let routes: Route[];
let bystander: JsonObject;

beforeAll(async () => {
  service = await ServiceUnderFire.start();
  routes = routesOf(await service.expect(200, 'GET', '/v1/openapi.json'));
  const { uuid } = await service.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name: 'bystander', properties: { cpus: 8 }, extra: { 'ключ': ['значение', null, 1.5] } });
  await service.expect(201, 'POST', '/v1/ports', { node_uuid: uuid as string, address: '52:54:00:be:ef:01' });
  await service.provideVictims();
  bystander = await service.expect(200, 'GET', '/v1/nodes/bystander');
});
afterAll(async () => {
  hangUp();
  await service.close();
});

/** Throws the requests, and counts those that a resource has looked at by route. */
async function throwAt(base: () => string, targets: readonly Route[], runs: number): Promise<Map<string, number>> {
  const reached = new Map(targets.map(({ method, template }) => [`${method} ${template}`, 0]));
  let thrown = 0;
  const target = fc.constantFrom(...targets).chain((route) => requestTo(route, targets).map((request) => ({ route, request })));
  await fc.assert(
    fc.asyncProperty(target, async ({ route, request }) => {
      const reply = await send(base(), request);
      const fault = faultOf(request, reply);
      if (fault !== undefined) throw new Error(`${fault}\n${describeRequest(request)}\nanswered: ${reply.status} ${reply.text.slice(0, 2_000)}`);
      if (request.method === route.method && reachedResource(reply)) reached.set(`${route.method} ${route.template}`, (reached.get(`${route.method} ${route.template}`) ?? 0) + 1);
      thrown += 1;
      if (thrown % INSPECT_EVERY === 0) await inspect();
    }),
    // a counterexample is told with its seed and path; making it smaller is bounded, for every try is a request
    { numRuns: runs, ...(SEED === undefined ? {} : { seed: SEED }), interruptAfterTimeLimit: TIMEOUT_MS - 30_000, markInterruptAsFailure: true },
  );
  await inspect();
  return reached;
}

async function inspect(): Promise<void> {
  expect(await service.expect(200, 'GET', '/v1/nodes/bystander')).toEqual(bystander);
  await service.provideVictims();
}

const describeRequest = ({ method, path, headers, body }: HostileRequest): string => `${method} ${path.slice(0, 1_000)}\n${JSON.stringify(headers).slice(0, 1_000)}\n${body === undefined ? '(no body)' : `${body.length} bytes: ${body.subarray(0, 1_000).toString('utf8')}`}`;

const missed = (reached: Map<string, number>): string[] => [...reached].filter(([, count]) => count === 0).map(([route]) => route);

describe('whatever is sent', () => {
  test('to the admin API is done or refused with a message, never a failure, and every route is reached', async () => {
    const reached = await throwAt(() => service.api, routes, RUNS);
    expect(missed(reached)).toEqual([]);
  }, TIMEOUT_MS);

  test('to the provisioning listener is done or refused with a message, never a failure, and every route is reached', async () => {
    const reached = await throwAt(() => service.provisioning, PROVISIONING_ROUTES, Math.ceil(RUNS / 10));
    expect(missed(reached)).toEqual([]);
  }, TIMEOUT_MS);

  test.each(Object.entries(HEAVY_BODIES))('a body of %s is done or refused by every route that takes one', async (_name, { body, headers }) => {
    for (const { method, template } of [...routes, ...PROVISIONING_ROUTES].filter((route) => route.body !== undefined)) {
      const base = template.startsWith('/v1/heartbeat') ? service.provisioning : service.api;
      const request = { method, path: template.replace(/\{\w+\}/g, VICTIMS.nodes[0]), headers: { 'X-OpenStack-Ironic-API-Version': '1.116', ...headers }, body };
      const reply = await send(base, request);
      expect(faultOf(request, reply)).toBeUndefined();
    }
    await inspect();
  }, TIMEOUT_MS);

  test('patches that go deeper step by step end before anything breaks', async () => {
    const levels = '/extra' + '/a'.repeat(40);
    const nest = (depth: number): JsonObject => JSON.parse(`${'{"a":'.repeat(depth)}{}${'}'.repeat(depth)}`) as JsonObject;
    const [node] = VICTIMS.nodes;
    await service.provideVictims();
    const statuses: number[] = [];
    for (let step = 0; step < 4; step += 1) {
      const path = step === 0 ? '/extra/a' : `${levels}${'/a'.repeat(40 * (step - 1))}`;
      statuses.push((await send(service.api, { method: 'PATCH', path: `/v1/nodes/${node}`, headers: { 'X-OpenStack-Ironic-API-Version': '1.116' }, body: Buffer.from(JSON.stringify([{ op: 'add', path, value: nest(40) }])) })).status);
    }
    expect(statuses).toEqual([200, 200, 400, 400]);
    await service.expect(200, 'GET', `/v1/nodes/${node}`);
  });

  test('the database is sound, and no prototype was polluted', async () => {
    expect(await service.integrity()).toBe('ok');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(await service.expect(200, 'GET', '/v1/nodes/bystander')).toEqual(bystander);
    expect((await service.expect(200, 'GET', '/v1/ports?node=bystander'))['ports']).toHaveLength(1);
  });
});
