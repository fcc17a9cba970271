import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createHttpClient } from '../../protocol/http-client.ts';
import { runProgram } from '../../protocol/program.ts';
import { freePort } from '../rig/free-port.ts';

/** A real Glance with a file store, in a directory of its own. */
export interface Glance {
  url: string;
  directory: string;
  /** Ends it in good order and removes the directory when it was made here. */
  stop(): Promise<void>;
  /** SIGKILL, as the out-of-memory killer does it; `start` brings it back with what it has on disk. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface GlanceOptions {
  /** Kept by `stop` when given. */
  directory?: string;
  /** Where images' data goes. Default: below the directory. */
  storeDirectory?: string;
  /** It asks this Keystone about tokens, as a user that may do so. Default: without authentication. */
  keystone?: { authUrl: string; username: string; password: string; project: string };
}

/** Debian's python: another one earlier on the PATH lacks the modules. */
const PYTHON = '/usr/bin/python3';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const PORT_ATTEMPTS = 3;
const PROGRAMS = { '/usr/bin/glance-api': 'glance-api', '/usr/bin/glance-manage': 'glance-common', '/usr/share/glance-common/glance-api-paste.ini': 'glance-common', '/usr/bin/setpriv': 'util-linux' };

/** Fails with the names of the Debian packages when one of the files is missing. */
export function requirePackages(files: Readonly<Record<string, string>>): void {
  const missing = Object.entries(files).filter(([path]) => !existsSync(path));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw new Error(`This test needs ${missing.map(([path]) => path).join(', ')}: run "npm run setup" as root, or "apt-get install --no-install-recommends ${packages}"`);
}

/** Starts it and waits until it answers. It dies with this process, whatever happens. */
export async function startGlance(options: GlanceOptions = {}): Promise<Glance> {
  requirePackages(PROGRAMS);
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'glance-peer-')));
  const configFile = join(directory, 'glance-api.conf');
  let running: ChildProcess | undefined;
  const glance: Glance = {
    url: '',
    directory,
    start: async () => {
      const port = glance.url === '' ? await freePort() : Number(new URL(glance.url).port);
      glance.url = `http://127.0.0.1:${port}`;
      await writeConfig(configFile, directory, options.storeDirectory ?? join(directory, 'store'), port, options.keystone);
      if (!existsSync(join(directory, 'glance.sqlite'))) await runProgram(PYTHON, ['/usr/bin/glance-manage', '--config-file', configFile, 'db_sync'], { timeoutMs: START_TIMEOUT_MS });
      running = await launch(configFile, directory);
      await untilItAnswers(running, glance.url, directory);
    },
    kill: () => end(running, 'SIGKILL'),
    stop: async () => {
      await end(running, 'SIGTERM');
      if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await glance.start();
      return glance;
    } catch (error) {
      await end(running, 'SIGKILL');
      if (attempt === PORT_ATTEMPTS) throw error;
      glance.url = ''; // somebody else may have taken the port in between
    }
  }
}

async function writeConfig(path: string, directory: string, store: string, port: number, keystone: GlanceOptions['keystone']): Promise<void> {
  for (const name of ['staging', 'tasks', 'lock']) await mkdir(join(directory, name), { recursive: true });
  await mkdir(store, { recursive: true });
  const sections = {
    // No workers: one process, whose end is the end of all.
    DEFAULT: { use_stderr: 'True', bind_host: '127.0.0.1', bind_port: port, workers: 0, enabled_backends: 'fs:file', node_staging_uri: `file://${directory}/staging` },
    database: { connection: `sqlite:///${directory}/glance.sqlite` },
    glance_store: { default_backend: 'fs' },
    fs: { filesystem_store_datadir: store },
    os_glance_staging_store: { filesystem_store_datadir: join(directory, 'staging') },
    os_glance_tasks_store: { filesystem_store_datadir: join(directory, 'tasks') },
    paste_deploy: { flavor: keystone ? 'keystone' : '', config_file: '/usr/share/glance-common/glance-api-paste.ini' },
    oslo_concurrency: { lock_path: join(directory, 'lock') },
    oslo_policy: { enforce_scope: 'False', enforce_new_defaults: 'False' },
    ...(keystone ? { keystone_authtoken: { www_authenticate_uri: keystone.authUrl, auth_url: keystone.authUrl, auth_type: 'password', username: keystone.username, password: keystone.password, project_name: keystone.project, user_domain_name: 'Default', project_domain_name: 'Default', token_cache_time: -1 } } : {}),
  };
  const text = Object.entries(sections).map(([name, values]) => [`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`)].join('\n'));
  await writeFile(path, `${text.join('\n\n')}\n`);
}

async function launch(configFile: string, directory: string): Promise<ChildProcess> {
  const log = await open(join(directory, 'glance.log'), 'a');
  try {
    return spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', PYTHON, '/usr/bin/glance-api', '--config-file', configFile], { stdio: ['ignore', log.fd, log.fd], cwd: directory });
  } finally {
    await log.close();
  }
}

async function untilItAnswers(child: ChildProcess, url: string, directory: string): Promise<void> {
  const http = createHttpClient({ timeoutMs: 5_000 });
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await http.get<{ versions?: unknown }>(`${url}/versions`).catch(() => undefined); // not listening yet
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    if (answer?.status === 200 && Array.isArray(answer.data.versions) && !hasEnded) return;
    if (hasEnded || Date.now() > deadline) throw new Error(`Glance did not come up on ${url}: ${(await readFile(join(directory, 'glance.log'), 'utf8')).slice(-2_000)}`);
    await pause(100);
  }
}

async function end(child: ChildProcess | undefined, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
