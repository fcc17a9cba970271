import { inParallel } from './http-exchange.mjs';
import { heartbeat, isCapturing, lookUp, nodeDocument, provision, reached, requestSnapshot, startRamdisks, stopRamdisks } from './fleet.mjs';

const HEARTBEAT_CONCURRENCY = 8;
const SNAPSHOT_POLL_MS = 10;

/**
 * What is measured. `count`: how often in a round, by server; chosen so that a round takes about a second of CPU, which
 * the kernel counts in hundredths. `run` gets what `prepare` returns, and
 * `tidy` what `run` returns: neither of the two is measured.
 */
export const SCENARIOS = [
  {
    name: 'list of nodes',
    count: { metalshot: 30, ironic: 6 },
    async run({ server, fleet }, count) {
      for (let index = 0; index < count; index += 1) expectNodes((await server.http.expect(200, 'GET', '/v1/nodes')).nodes, fleet);
    },
  },
  {
    name: 'list of nodes, all fields',
    count: { metalshot: 15, ironic: 2 },
    async run({ server, fleet }, count) {
      for (let index = 0; index < count; index += 1) expectNodes((await server.http.expect(200, 'GET', '/v1/nodes/detail')).nodes, fleet);
    },
  },
  {
    name: 'one node',
    count: { metalshot: 600, ironic: 100 },
    async run({ server, fleet: { uuids } }, count) {
      for (let index = 0; index < count; index += 1) await server.http.expect(200, 'GET', `/v1/nodes/${uuids[(index * 37) % uuids.length]}`);
    },
  },
  {
    name: 'create',
    count: { metalshot: 300, ironic: 50 },
    async run({ server }, count) {
      const created = [];
      for (let index = 0; index < count; index += 1) created.push((await server.http.expect(201, 'POST', '/v1/nodes', { body: nodeDocument(`new-${index}`) })).uuid);
      return created;
    },
    tidy: ({ server }, created) => inParallel(created.length, 4, (index) => server.http.expect(204, 'DELETE', `/v1/nodes/${created[index]}`)),
  },
  {
    name: `heartbeat, ${HEARTBEAT_CONCURRENCY} at once`,
    count: { metalshot: 1000, ironic: 150 },
    prepare: ({ server, fleet: { ramdisks } }) => startRamdisks(server, ramdisks),
    run: ({ server }, count, ramdisks) => inParallel(count, HEARTBEAT_CONCURRENCY, (index) => heartbeat(server, ramdisks[index % ramdisks.length])),
    tidy: ({ server, fleet: { ramdisks } }) => stopRamdisks(server, ramdisks),
  },
  {
    name: 'fake deployment: available, active, available',
    count: { metalshot: 40, ironic: 8 },
    async run({ server, fleet: { cycled } }, count) {
      for (let done = 0; done < count; done += cycled.length) {
        await provision(server, cycled.slice(0, count - done), 'active', {}, 'active');
        await provision(server, cycled.slice(0, count - done), 'deleted', {}, 'available');
      }
    },
  },
  {
    name: 'fake snapshot: active, snapshot wait, active',
    count: { metalshot: 40 },
    prepare: ({ server, fleet: { cycled } }) => provision(server, cycled, 'active', {}, 'active'),
    async run({ server, fleet: { cycled } }, count) {
      for (let index = 0; index < count; index += 1) await snapshot(server, cycled[index % cycled.length]);
    },
    tidy: ({ server, fleet: { cycled } }) => provision(server, cycled, 'deleted', {}, 'available'),
  },
];

/** One after the other: the client looks so often that its pauses do not count, and each look is part of the figure. */
async function snapshot(server, uuid) {
  await requestSnapshot(server, uuid);
  await reached(server, uuid, 'snapshot wait', { pollMs: SNAPSHOT_POLL_MS, condition: isCapturing });
  await heartbeat(server, await lookUp(server, uuid));
  await reached(server, uuid, 'active', { pollMs: SNAPSHOT_POLL_MS });
}

function expectNodes(nodes, { size }) {
  if (nodes.length !== size) throw new Error(`expected a list of ${size} nodes, found ${nodes.length}`);
}
