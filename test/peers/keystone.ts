import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createHttpClient } from '../../protocol/http-client.ts';
import { runProgram } from '../../protocol/program.ts';
import { freePort } from '../rig/free-port.ts';
import { requirePackages } from './glance.ts';
import { KeystoneDirectory } from './keystone-directory.ts';

/** A real Keystone of its own directory, with the user `admin` of project `admin`. */
export interface Keystone {
  /** With `/v3`. */
  authUrl: string;
  directory: string;
  /** Its users, projects, roles and services. */
  cloud: KeystoneDirectory;
  /** Ends it; `start` brings it back at the same address with what it has on disk. */
  end(): Promise<void>;
  start(): Promise<void>;
  /** From now on new tokens live so long: it is restarted with it. */
  tokensLive(seconds: number): Promise<void>;
  /** Ends it and removes the directory. */
  stop(): Promise<void>;
}

export const ADMIN_PASSWORD = 'bootstrap secret';
/** Debian's python: another one earlier on the PATH lacks the modules. */
const PYTHON = '/usr/bin/python3';
const PROGRAMS = { '/usr/bin/keystone-manage': 'keystone', '/usr/bin/setpriv': 'util-linux' };
const SERVICE = fileURLToPath(new URL('./keystone-service.py', import.meta.url));
const START_TIMEOUT_MS = 90_000;
/** Keystone's own default. */
const TOKEN_LIFE_S = 3_600;

/** Sets one up and waits until it answers. It dies with this process, whatever happens. */
export async function startKeystone(): Promise<Keystone> {
  requirePackages(PROGRAMS);
  const directory = await mkdtemp(join(tmpdir(), 'keystone-peer-'));
  const authUrl = `http://127.0.0.1:${await freePort()}/v3`;
  let running: ChildProcess | undefined;
  const keystone: Keystone = {
    authUrl,
    directory,
    cloud: new KeystoneDirectory(authUrl, ADMIN_PASSWORD),
    start: async () => {
      running = await launch(directory, new URL(authUrl).port);
      await untilItAnswers(running, authUrl, directory);
    },
    end: () => end(running),
    tokensLive: async (seconds) => {
      await keystone.end();
      await writeConfig(directory, seconds);
      await keystone.start();
    },
    stop: async () => {
      await end(running);
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await setUp(directory, authUrl);
    await keystone.start();
    return keystone;
  } catch (error) {
    await keystone.stop();
    throw error;
  }
}

const configFileIn = (directory: string): string => join(directory, 'keystone.conf');

async function writeConfig(directory: string, tokenLifeS: number): Promise<void> {
  const sections = {
    DEFAULT: { log_file: join(directory, 'keystone.log'), use_stderr: 'false' },
    database: { connection: `sqlite:///${directory}/keystone.sqlite` },
    token: { provider: 'fernet', expiration: tokenLifeS },
    fernet_tokens: { key_repository: join(directory, 'fernet') },
    fernet_receipts: { key_repository: join(directory, 'receipts') },
    credential: { key_repository: join(directory, 'credentials') },
    // The fewest rounds that are allowed: passwords of tests are worth no more.
    identity: { password_hash_rounds: 4 },
    cache: { enabled: 'false' },
  };
  const text = Object.entries(sections).map(([name, values]) => [`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`)].join('\n'));
  await writeFile(configFileIn(directory), `${text.join('\n\n')}\n`, { mode: 0o600 });
}

async function setUp(directory: string, authUrl: string): Promise<void> {
  for (const name of ['fernet', 'receipts', 'credentials']) await mkdir(join(directory, name), { mode: 0o700 });
  await writeConfig(directory, TOKEN_LIFE_S);
  const manage = (args: readonly string[], env: Record<string, string> = {}) =>
    runProgram(PYTHON, ['/usr/bin/keystone-manage', '--config-file', configFileIn(directory), ...args], { timeoutMs: START_TIMEOUT_MS, cwd: directory, env: { PATH: '/usr/bin:/bin', HOME: directory, LC_ALL: 'C.UTF-8', ...env } });
  const [user, group] = [(await runProgram('id', ['-un'], { timeoutMs: 5_000 })).stdout.trim(), (await runProgram('id', ['-gn'], { timeoutMs: 5_000 })).stdout.trim()];
  await manage(['db_sync']);
  // or a reader that Keystone leaves open locks its next writer out ("database is locked")
  await runProgram(PYTHON, ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA journal_mode=WAL")', join(directory, 'keystone.sqlite')], { timeoutMs: 10_000 });
  for (const keys of ['fernet_setup', 'credential_setup']) await manage([keys, '--keystone-user', user, '--keystone-group', group]);
  await manage(['bootstrap', '--bootstrap-region-id', 'RegionOne', '--bootstrap-public-url', authUrl, '--bootstrap-internal-url', authUrl, '--bootstrap-admin-url', authUrl], { OS_BOOTSTRAP_PASSWORD: ADMIN_PASSWORD });
}

async function launch(directory: string, port: string): Promise<ChildProcess> {
  const log = await open(join(directory, 'service.log'), 'a');
  try {
    return spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', PYTHON, SERVICE, directory, port], { stdio: ['ignore', log.fd, log.fd], cwd: directory });
  } finally {
    await log.close();
  }
}

async function untilItAnswers(child: ChildProcess, authUrl: string, directory: string): Promise<void> {
  const http = createHttpClient({ timeoutMs: 5_000 });
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await http.get<{ version?: unknown }>(authUrl).catch(() => undefined); // not listening yet
    if (answer?.status === 200 && answer.data.version !== undefined && !hasEnded(child)) return;
    if (hasEnded(child) || Date.now() > deadline) {
      throw new Error(`Keystone did not come up on ${authUrl}: ${(await readFile(join(directory, 'service.log'), 'utf8')).slice(-2_000)}`);
    }
    await pause(100);
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || hasEnded(child)) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL'); // sqlite loses nothing that was committed
  await exited;
}
