import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { inParallel } from './http-exchange.mjs';

const POLL_MS = 100;
const STATE_TIMEOUT_MS = 60_000;
const ENROL_CONCURRENCY = 4;
/** The newest version that the compared Ironic has, and the one before nodes began in `enroll`. */
const MINOR = 78;
const BEFORE_ENROLL_MINOR = 10;
const SNAPSHOT_MINOR = 116;

/** A node as inventories have them: the same document for both servers. */
export const nodeDocument = (name) => ({
  name,
  driver: 'fake-hardware',
  driver_info: { bmc_address: '192.0.2.17', bmc_username: 'operator', bmc_password: 'secret' },
  properties: { cpus: '32', memory_mb: '262144', local_gb: '1788', cpu_arch: 'x86_64', capabilities: 'boot_mode:uefi,secure_boot:true', vendor: 'example' },
  extra: { rack: 'r17', position: 21, asset: 'A-004711', contact: 'lab@example.org' },
});

/** Fills a new server with nodes: some whose ramdisks are to heartbeat, some that are deployed and undeployed, and plain ones. */
export async function enrol(server, { nodes, heartbeating, cycling }) {
  const uuids = [];
  await inParallel(nodes - heartbeating - cycling, ENROL_CONCURRENCY, async (index) => {
    uuids.push((await server.http.expect(201, 'POST', '/v1/nodes', { minor: MINOR, body: nodeDocument(`machine-${index}`) })).uuid);
  });
  const cycled = [];
  for (let index = 0; index < cycling; index += 1) cycled.push((await server.http.expect(201, 'POST', '/v1/nodes', { minor: BEFORE_ENROLL_MINOR, body: nodeDocument(`cycled-${index}`) })).uuid);
  const ramdisks = await enrolRamdisks(server, heartbeating);
  return { uuids, cycled, ramdisks };
}

export const heartbeat = (server, { uuid, token }) =>
  server.http.expect(202, 'POST', `/v1/heartbeat/${uuid}`, { minor: MINOR, body: { callback_url: 'https://127.0.0.1:9999', agent_token: token, agent_version: '10.0.0' } });

/** The token is given once, and reads `******` ever after. */
const HIDDEN_TOKEN = '******';
const tokens = new WeakMap();

export async function lookUp(server, uuid) {
  const { config } = await server.http.expect(200, 'GET', `/v1/lookup?node_uuid=${uuid}`, { minor: MINOR });
  const known = tokens.get(server) ?? new Map();
  tokens.set(server, known);
  if (config.agent_token !== HIDDEN_TOKEN) known.set(uuid, config.agent_token);
  return { uuid, token: known.get(uuid) };
}

/** Nodes that have a ramdisk at times; see `startRamdisks`. The first of Metalshot's holds the only place for a capture. */
async function enrolRamdisks(server, count) {
  const ironic = server.name === 'ironic';
  const uuids = [];
  for (let index = 0; index < count; index += 1) {
    const document = { ...nodeDocument(`ramdisk-${index}`), ...(ironic ? { deploy_interface: 'direct' } : {}) };
    uuids.push((await server.http.expect(201, 'POST', '/v1/nodes', { minor: ironic ? MINOR : BEFORE_ENROLL_MINOR, body: document })).uuid);
  }
  if (!ironic) await provision(server, uuids, 'active', {}, 'active');
  return uuids;
}

/**
 * Brings the nodes to where a heartbeat is recorded and nothing follows from it. Ironic: in `enroll` (with `restrict_lookup` off it
 * gives the token there). Metalshot: in `snapshot wait`, while another capture has the only place.
 * Resolves to who may heartbeat.
 */
export async function startRamdisks(server, uuids) {
  if (server.name === 'ironic') return Promise.all(uuids.map((uuid) => lookUp(server, uuid)));
  const [holder, ...waiting] = uuids;
  await requestSnapshot(server, holder);
  await reached(server, holder, 'snapshot wait', { condition: isCapturing });
  for (const uuid of waiting) await requestSnapshot(server, uuid);
  for (const uuid of waiting) await reached(server, uuid, 'snapshot wait');
  return Promise.all(waiting.map((uuid) => lookUp(server, uuid)));
}

export async function stopRamdisks(server, uuids) {
  if (server.name === 'ironic') return;
  for (const uuid of uuids.toReversed()) await provision(server, [uuid], 'abort', {}, 'snapshot failed', SNAPSHOT_MINOR);
  await provision(server, uuids, 'abort', {}, 'active', SNAPSHOT_MINOR);
}

export const requestSnapshot = (server, uuid) => server.http.expect(202, 'PUT', `/v1/nodes/${uuid}/states/provision`, { minor: SNAPSHOT_MINOR, body: { target: 'snapshot', image_ref: randomUUID() } });

/** A capture that waits for its turn is in `snapshot wait` too, but no ramdisk is expected yet. */
export const isCapturing = (node) => node.driver_internal_info.snapshot?.phase !== 'queue';

/** Sends the verb to all of them, then waits until each is in the state. */
export async function provision(server, uuids, target, more, state, minor = MINOR) {
  await Promise.all(uuids.map((uuid) => server.http.expect(202, 'PUT', `/v1/nodes/${uuid}/states/provision`, { minor, body: { target, ...more } })));
  for (const uuid of uuids) await reached(server, uuid, state);
}

export async function reached(server, uuid, state, { condition = () => true, pollMs = POLL_MS } = {}) {
  const deadline = performance.now() + STATE_TIMEOUT_MS;
  let first;
  for (;;) {
    const node = await server.http.expect(200, 'GET', `/v1/nodes/${uuid}?fields=provision_state,reservation,last_error,driver_internal_info`, { minor: MINOR });
    if (node.provision_state === state && node.reservation === null && condition(node)) return;
    first ??= node.provision_state;
    const failed = node.provision_state !== first && / failed$|^error$/.test(node.provision_state);
    if (performance.now() > deadline || (failed && node.provision_state !== state)) throw new Error(`${server.name}: node ${uuid} is ${node.provision_state} instead of ${state}: ${JSON.stringify(node)}`);
    await pause(pollMs);
  }
}
