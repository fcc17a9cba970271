import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { HttpExchange } from '../http-exchange.mjs';
import { freePort } from '../server-process.mjs';
import { Program } from './program.mjs';

const PYTHON = '/usr/bin/python3';
const PROGRAMS = ['/usr/bin/glance-api', '/usr/bin/glance-manage', '/usr/share/glance-common/glance-api-paste.ini'];
const START_TIMEOUT_MS = 120_000;
const START_POLL_MS = 200;

/** Whether a real Glance (Debian's glance-api and glance-common) can be started here. */
export const hasGlance = () => PROGRAMS.every((path) => existsSync(path));

/** A Glance of one process, with its database in a file of SQLite, a store in files and without authentication. */
export async function startGlance(directory) {
  const place = join(directory, 'glance-service');
  for (const name of ['store', 'staging', 'tasks', 'lock']) await mkdir(join(place, name), { recursive: true });
  const port = await freePort();
  const file = join(place, 'glance-api.conf');
  await writeFile(file, configuration(place, port));
  const schema = spawnSync(PYTHON, ['/usr/bin/glance-manage', '--config-file', file, 'db_sync'], { timeout: START_TIMEOUT_MS, encoding: 'utf8' });
  if (schema.status !== 0) throw new Error(`glance-manage failed: ${schema.error?.message ?? schema.stderr}`);
  const program = new Program('glance', [PYTHON, '/usr/bin/glance-api', '--config-file', file], { logFile: join(place, 'glance.log') });
  const url = `http://127.0.0.1:${port}`;
  try {
    await answers(url, place);
  } catch (error) {
    await program.stop();
    throw error;
  }
  return { url, pid: program.pid, close: () => program.stop() };
}

async function answers(url, place) {
  const http = new HttpExchange(url);
  const deadline = performance.now() + START_TIMEOUT_MS;
  try {
    for (;;) {
      const reply = await http.call('GET', '/versions').catch(() => undefined); // not listening yet
      if (reply?.status === 200) return;
      if (performance.now() > deadline) throw new Error(`Glance does not answer; see ${place}/glance.log`);
      await pause(START_POLL_MS);
    }
  } finally {
    http.close();
  }
}

const configuration = (place, port) => `[DEFAULT]
use_stderr = True
bind_host = 127.0.0.1
bind_port = ${port}
workers = 0
enabled_backends = fs:file
node_staging_uri = file://${place}/staging
[database]
connection = sqlite:///${place}/glance.sqlite
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = ${place}/store
[os_glance_staging_store]
filesystem_store_datadir = ${place}/staging
[os_glance_tasks_store]
filesystem_store_datadir = ${place}/tasks
[paste_deploy]
flavor =
config_file = /usr/share/glance-common/glance-api-paste.ini
[oslo_concurrency]
lock_path = ${place}/lock
[oslo_policy]
enforce_scope = False
enforce_new_defaults = False
`;
