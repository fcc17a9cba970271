import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { conductorCommand } from './conductor-command.mjs';
import { HttpExchange } from './http-exchange.mjs';
import { freePort, ServerProcess } from './server-process.mjs';

const START_TIMEOUT_MS = 60_000;
const START_POLL_MS = 5;
const SCHEMA_TIMEOUT_MS = 120_000;
const IRONIC = '/usr/bin/ironic';
const IRONIC_DBSYNC = '/usr/bin/ironic-dbsync';

/*
 * Both servers are single processes with their database in a file of SQLite, no authentication, fake hardware, their default
 * logging into a file, no cleaning, and without their periodic look at the power of all nodes (which would fall into
 * whatever is measured just then).
 */

/** Whether a real Ironic (Debian's ironic-api, ironic-conductor and ironic-common) can be started here. */
export const hasIronic = () => [IRONIC, IRONIC_DBSYNC].every((program) => existsSync(program));

/** @param dist directory with the built programs. */
export const metalshot = (dist) => ({
  name: 'metalshot',
  async prepare(directory) {
    await mkdir(directory, { recursive: true });
    const [api, provisioning, images] = [await freePort(), await freePort(), await freePort()];
    const config = {
      host: 'benchmark',
      state_directory: join(directory, 'state'),
      enabled_hardware_types: ['fake-hardware'],
      api: { port: api },
      provisioning: { port: provisioning },
      image_service: { embedded: { port: images } },
      conductor: { power_sync_interval_s: 0 },
      deploy: { automated_clean: false },
      snapshot: { max_concurrent: 1 },
    };
    const file = join(directory, 'conductor.yaml');
    await writeFile(file, JSON.stringify(config)); // JSON is YAML
    const [command, ...args] = conductorCommand(dist, file);
    return { command, args, url: `http://127.0.0.1:${api}`, directory };
  },
});

export const ironic = () => ({
  name: 'ironic',
  async prepare(directory) {
    for (const name of ['lock', 'tmp', 'http', 'tftp', 'images']) await mkdir(join(directory, name), { recursive: true });
    const port = await freePort();
    const file = join(directory, 'ironic.conf');
    await writeFile(file, ironicConfiguration(directory, port));
    const schema = spawnSync('/usr/bin/python3', [IRONIC_DBSYNC, '--config-file', file, 'create_schema'], { timeout: SCHEMA_TIMEOUT_MS, encoding: 'utf8' });
    if (schema.status !== 0) throw new Error(`ironic-dbsync failed: ${schema.error?.message ?? schema.stderr}`);
    return { command: '/usr/bin/python3', args: [IRONIC, '--config-file', file], url: `http://127.0.0.1:${port}`, directory };
  },
});

/** Starts a prepared server; resolves once it has answered the first list of nodes, with the time that this took. */
export async function startServer({ name }, { command, args, url, directory }) {
  const startedAt = performance.now();
  const server = new ServerProcess(command, args, { logFile: join(directory, 'server.log') });
  const http = new HttpExchange(url);
  const close = async () => {
    http.close();
    await server.stop();
  };
  try {
    while (!(await answers(http))) {
      if (!server.running) throw new Error(`${name} has ended before it answered; see ${directory}/server.log`);
      if (performance.now() - startedAt > START_TIMEOUT_MS) throw new Error(`${name} does not answer; see ${directory}/server.log`);
      await pause(START_POLL_MS);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { name, http, process: server, startMs: performance.now() - startedAt, close };
}

async function answers(http) {
  try {
    return (await http.call('GET', '/v1/nodes')).status === 200;
  } catch (error) {
    if (['ECONNREFUSED', 'ECONNRESET'].includes(error.code)) return false; // not yet
    throw error;
  }
}

const ironicConfiguration = (directory, port) => `[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = benchmark
my_ip = 127.0.0.1
state_path = ${directory}
tempdir = ${directory}/tmp
enabled_hardware_types = fake-hardware
enabled_boot_interfaces = fake
enabled_management_interfaces = fake
enabled_power_interfaces = fake
enabled_deploy_interfaces = fake,direct
enabled_network_interfaces = noop
default_network_interface = noop
enabled_storage_interfaces = fake,noop
enabled_bios_interfaces = fake,no-bios
enabled_console_interfaces = fake,no-console
enabled_inspect_interfaces = fake,no-inspect
enabled_raid_interfaces = fake,no-raid
enabled_rescue_interfaces = fake,no-rescue
enabled_vendor_interfaces = fake,no-vendor
[api]
host_ip = 127.0.0.1
port = ${port}
api_workers = 1
restrict_lookup = False
[conductor]
automated_clean = False
sync_power_state_interval = 0
[database]
connection = sqlite:///${directory}/ironic.sqlite
[dhcp]
dhcp_provider = none
[deploy]
http_root = ${directory}/http
[pxe]
tftp_root = ${directory}/tftp
images_path = ${directory}/images
[oslo_concurrency]
lock_path = ${directory}/lock
[service_catalog]
auth_type = none
endpoint_override = http://127.0.0.1:${port}
`;
