import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enrol } from './fleet.mjs';
import { SCENARIOS } from './scenarios.mjs';
import { startServer } from './servers.mjs';

/** Nodes with a ramdisk (apart enough that no heartbeat meets the work of the one before), and nodes in a cycle. */
const HEARTBEATING = 32;
const CYCLING = 8;
const IDLE_NODES = 0;

/**
 * Measures the servers in turn, round by round, in one run.
 * @param options.share of the requests of a full run; small ones only show that everything works.
 * @returns {Promise<{rounds: object[], starts: object[], memory: object[]}>} every single measurement.
 */
export async function measureApi(kinds, { rounds, nodes, share, say }) {
  const directory = await mkdtemp(join(tmpdir(), 'metalshot-bench-'));
  const running = [];
  try {
    const starts = await measureStarts(kinds, { rounds, directory, say });
    for (const kind of kinds) {
      const place = await kind.prepare(join(directory, `${kind.name}-measured`));
      running.push({ server: await startServer(kind, place) });
    }
    const memory = [];
    const look = async (count) => {
      for (const { server } of running) {
        await server.process.quiet();
        memory.push({ server: server.name, nodes: count, residentBytes: server.process.residentBytes() });
      }
    };
    await look(IDLE_NODES);
    for (const side of running) {
      say(`${side.server.name}: ${nodes} nodes are enrolled`);
      side.fleet = { ...(await enrol(side.server, { nodes, heartbeating: Math.min(HEARTBEATING, Math.ceil(nodes / 4)), cycling: Math.min(CYCLING, Math.ceil(nodes / 4)) })), size: nodes };
    }
    const measured = [];
    for (let round = 1; round <= rounds; round += 1) {
      for (const scenario of SCENARIOS) {
        // the one that goes first changes, so that neither always finds the machine in the better state
        for (const side of round % 2 === 1 ? running : running.toReversed()) {
          const count = scenario.count[side.server.name];
          if (count === undefined) continue;
          say(`round ${round} of ${rounds}: ${scenario.name}, ${side.server.name}`);
          measured.push({ round, scenario: scenario.name, server: side.server.name, ...(await measure(scenario, side, Math.max(1, Math.round(count * share)))) });
        }
      }
      await look(nodes);
    }
    return { starts, memory, rounds: measured };
  } finally {
    for (const { server } of running) await server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** CPU of the server until it is quiet again, and the time that the client waited; for one request or cycle each. */
async function measure(scenario, side, count) {
  const prepared = await scenario.prepare?.(side, count);
  const { process } = side.server;
  await process.quiet();
  const [cpuBefore, wallBefore] = [process.cpuSeconds(), performance.now()];
  const left = await scenario.run(side, count, prepared);
  const wallMs = performance.now() - wallBefore;
  await process.quiet();
  const cpuMs = (process.cpuSeconds() - cpuBefore) * 1000;
  await scenario.tidy?.(side, left);
  return { count, cpuMs: cpuMs / count, wallMs: wallMs / count };
}

/** From the start of the process to the first list of nodes, with the schema already there. */
async function measureStarts(kinds, { rounds, directory, say }) {
  const starts = [];
  const places = new Map();
  for (const kind of kinds) {
    const place = await kind.prepare(join(directory, `${kind.name}-started`));
    await (await startServer(kind, place)).close(); // makes what only a first start makes: schema, certificates, the interpreter's caches
    places.set(kind, place);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const kind of round % 2 === 1 ? kinds : kinds.toReversed()) {
      say(`round ${round} of ${rounds}: cold start, ${kind.name}`);
      const server = await startServer(kind, places.get(kind));
      starts.push({ round, server: kind.name, startMs: server.startMs });
      await server.close();
    }
  }
  return starts;
}
