import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { conductorCommand } from '../conductor-command.mjs';
import { HttpExchange } from '../http-exchange.mjs';
import { dropCached } from './page-cache.mjs';
import { childrenOf, ProcessWatch } from './process-watch.mjs';
import { Program } from './program.mjs';

const MINOR = 116;
const POLL_MS = 200;
const TIMEOUT_MS = 30 * 60_000;
const GIB = 1024 ** 3;
const begins = (phase) => (line) => line.msg === 'phase begins' && line.phase === phase;

/**
 * A conductor and machines with these disks, as processes: simulated machines, whose operating system in the ramdisk is the
 * real agent. Nodes of them are enrolled and active.
 * @param options.tls of the listener that machines reach. @param options.glanceUrl of the image service; null: the embedded one.
 */
export async function startSite(name, { dist, directory, disks, tls, glanceUrl }) {
  const place = join(directory, name);
  await mkdir(place);
  const conductor = await startConductor(place, { dist, tls, glanceUrl, captures: disks.length });
  let simulator;
  try {
    const account = { username: 'operator', password: randomBytes(12).toString('hex') };
    simulator = await startSimulator(place, { dist, disks, account, conductor, certificateFile: tls ? join(place, 'state/certificates/provisioning.crt') : undefined });
    const site = new Site({ name, conductor, simulator, disks });
    await site.enrol(account);
    return site;
  } catch (error) {
    await simulator?.program.stop();
    await conductor.program.stop();
    throw error;
  }
}

class Site {
  name;
  #conductor;
  #simulator;
  #disks;
  #api;
  #images;
  #nodes = [];

  constructor({ name, conductor, simulator, disks }) {
    this.name = name;
    this.#conductor = conductor;
    this.#simulator = simulator;
    this.#disks = disks;
    this.#api = new HttpExchange(conductor.ready.api);
    this.#images = new HttpExchange(conductor.ready.imageService);
  }

  get conductorPid() {
    return this.#conductor.program.pid;
  }

  get imageService() {
    return this.#conductor.ready.imageService;
  }

  async enrol({ username, password }) {
    const { url, machines } = this.#simulator.ready;
    for (const { system, macs } of machines) {
      const body = { driver: 'redfish', boot_interface: 'fake', driver_info: { redfish_address: url, redfish_system_id: system, redfish_username: username, redfish_password: password } };
      const { uuid } = await this.#api.expect(201, 'POST', '/v1/nodes', { minor: MINOR, body });
      await this.#api.expect(201, 'POST', '/v1/ports', { minor: MINOR, body: { address: macs[0], node_uuid: uuid } });
      for (const [target, state] of [['manage', 'manageable'], ['adopt', 'active']]) {
        await this.#demand(uuid, { target });
        await this.#reached(uuid, state);
      }
      this.#nodes.push(uuid);
    }
  }

  /**
   * Captures so many machines at once, from cold disks. What is measured begins with the first command to an agent, and ends when the
   * conductor knows that the last capture is there (or, of a relayed one, that the image service has it).
   * @param options of the request. @returns the figures, and the ids of the images, which the caller deletes.
   */
  async snapshot(machines, options) {
    const nodes = this.#nodes.slice(0, machines);
    dropCached(this.#disks.slice(0, machines).map(({ path }) => path));
    const imageIds = [];
    while (imageIds.length < machines) imageIds.push((await this.createImage()).id);
    const window = this.#watchCaptures(machines);
    try {
      for (const [index, uuid] of nodes.entries()) await this.#demand(uuid, { target: 'snapshot', image_ref: imageIds[index], ...options });
      const views = [];
      for (const uuid of nodes) views.push(await this.#captured(uuid));
      return { ...(await window.figures), imageIds, imageBytes: sum(views, 'size_bytes'), downtimeS: sum(views, 'downtime_s') / machines, durationS: Math.max(...views.map((view) => view.duration_s)) };
    } finally {
      window.end();
    }
  }

  createImage() {
    return this.#images.expect(201, 'POST', '/v2/images', { body: { name: 'benchmark', disk_format: 'qcow2', container_format: 'bare' } });
  }

  async deleteImages(ids) {
    for (const id of ids) await this.#images.expect(204, 'DELETE', `/v2/images/${id}`);
  }

  async close() {
    this.#api.close();
    this.#images.close();
    await this.#conductor.program.stop();
    await this.#simulator.program.stop();
  }

  #watchCaptures(machines) {
    const watch = new ProcessWatch({ conductor: () => [this.conductorPid], agent: () => childrenOf(this.#simulator.program.pid) });
    let startedAt;
    let [captured, isWatching] = [0, false];
    let forget = () => undefined;
    const figures = new Promise((resolve) => {
      forget = this.#conductor.program.onLine((line) => {
        if (begins('command')(line) && startedAt === undefined) {
          startedAt = line.time;
          isWatching = true;
          watch.start();
        }
        if (!begins('verify')(line) || (captured += 1) < machines) return;
        isWatching = false;
        resolve({ wallS: (line.time - startedAt) / 1000, ends: watch.stop() });
      });
    });
    const end = () => {
      forget();
      if (isWatching) watch.stop();
    };
    return { figures, end };
  }

  #demand(uuid, body) {
    return this.#api.expect(202, 'PUT', `/v1/nodes/${uuid}/states/provision`, { minor: MINOR, body });
  }

  async #captured(uuid) {
    const { driver_internal_info: info } = await this.#reached(uuid, 'active', (node) => node.driver_internal_info.snapshot?.status === 'done');
    return info.snapshot;
  }

  async #reached(uuid, state, holds = () => true) {
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      const node = await this.#api.expect(200, 'GET', `/v1/nodes/${uuid}`, { minor: MINOR });
      if (node.provision_state === state && node.reservation === null && holds(node)) return node;
      if (/ failed$/.test(node.provision_state) || performance.now() > deadline) throw new Error(`${this.name}: node ${uuid} is ${node.provision_state} instead of ${state}: ${node.last_error}`);
      await pause(POLL_MS);
    }
  }
}

async function startConductor(place, { dist, tls, glanceUrl, captures }) {
  const config = {
    host: 'benchmark',
    state_directory: join(place, 'state'),
    api: { port: 0 },
    provisioning: { port: 0, tls: tls ? 'self-signed' : 'none' },
    image_service: { ...(glanceUrl === null ? {} : { url: glanceUrl }), embedded: { port: 0 } },
    enabled_hardware_types: ['redfish'],
    conductor: { heartbeat_timeout_s: 60, check_interval_s: 1, callback_timeout_s: 300, soft_power_off_timeout_s: 30, power_timeout_s: 60, power_sync_interval_s: 0 },
    snapshot: { max_concurrent: captures, poll_interval_s: 0.5, spool_reserve_bytes: GIB / 4 },
  };
  const file = join(place, 'conductor.yaml');
  await writeFile(file, JSON.stringify(config)); // JSON is YAML
  return start('conductor', conductorCommand(dist, file), place, (line) => line.msg === 'conductor is ready');
}

async function startSimulator(place, { dist, disks, account, conductor, certificateFile }) {
  if (certificateFile) await readFile(certificateFile); // made by the conductor; without it no agent trusts it
  const agent = { api_url: conductor.ready.provisioning, ...(certificateFile ? { ca_file: certificateFile } : {}) };
  const machine = ({ path, sizeBytes }, index) => ({ id: `machine-${index}`, macs: [`52:54:00:4d:53:${index.toString(16).padStart(2, '0')}`], disks: [path], memory_bytes: sizeBytes + 2 * GIB, power: 'On', agent });
  const file = join(place, 'simulator.json');
  await writeFile(file, JSON.stringify({ redfish: account, run_directory: join(place, 'machines'), machines: disks.map(machine) }), { mode: 0o600 });
  return start('simulator', [process.execPath, join(dist, 'simulator/main.js'), '--config', file], place, (line) => line.url !== undefined && line.machines !== undefined);
}

async function start(name, command, place, isReady) {
  const program = new Program(name, command, { logFile: join(place, `${name}.log`) });
  try {
    let ready;
    await program.line((line) => isReady(line) && (ready = line));
    return { program, ready };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

const sum = (views, field) => views.reduce((total, view) => total + view[field], 0);
