import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createHttpClient } from '../../protocol/http-client.ts';
import { runProgram } from '../../protocol/program.ts';
import { freePort } from '../rig/free-port.ts';
import { requirePackages } from './glance.ts';

/** A real object store that speaks S3: OpenStack Swift, of one proxy and one replica, in a directory of its own. */
export interface SwiftS3 {
  endpoint: string;
  accessKeyId: string;
  secret: string;
  /** Ends all its processes and removes the directory. */
  stop(): Promise<void>;
}

/** Debian's python: another one earlier on the PATH lacks the modules. */
const PYTHON = '/usr/bin/python3';
const SERVERS = ['account', 'container', 'object'] as const;
const PROGRAMS = { ...Object.fromEntries(['proxy', ...SERVERS].map((name) => [`/usr/bin/swift-${name}-server`, `swift-${name}`])), '/usr/bin/memcached': 'memcached', '/usr/bin/setpriv': 'util-linux' };
const ACCESS = { accessKeyId: 'test:tester', secret: 'testing' };
const START_TIMEOUT_MS = 60_000;
const PORT_ATTEMPTS = 3;
/** Which server has what: one device of one server each. Arguments: the directory, then names and ports of the servers. */
const MAKE_RINGS = `
import sys
from swift.common.ring import RingBuilder
directory, servers = sys.argv[1], sys.argv[2:]
for name, port in zip(servers[::2], servers[1::2]):
    builder = RingBuilder(4, 1, 1)
    place = {'ip': '127.0.0.1', 'port': int(port)}
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'device': 'disk', 'weight': 1.0, 'meta': '', **place, **{f'replication_{key}': value for key, value in place.items()}})
    builder.rebalance()
    builder.get_ring().save(f'{directory}/{name}.ring.gz')
`;

type Ports = Readonly<Record<'proxy' | 'memcached' | (typeof SERVERS)[number], number>>;

/** Starts it and waits until all its servers answer. They die with this process, whatever happens. */
export async function startSwiftS3(): Promise<SwiftS3> {
  requirePackages(PROGRAMS);
  for (let attempt = 1; ; attempt += 1) {
    const directory = await mkdtemp(join(tmpdir(), 'swift-peer-'));
    const running: ChildProcess[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(running.map(end));
      await rm(directory, { recursive: true, force: true });
    };
    try {
      const ports = { proxy: await freePort(), memcached: await freePort(), account: await freePort(), container: await freePort(), object: await freePort() };
      await writeConfigs(directory, ports);
      running.push(await launch(directory, 'memcached', ['/usr/bin/memcached', '-u', userInfo().username, '-l', '127.0.0.1', '-p', String(ports.memcached)]));
      for (const name of SERVERS) running.push(await launchServer(directory, name));
      // the proxy avoids a server for a minute that has not answered it once
      await Promise.all(SERVERS.map((name, index) => untilHealthy(running[index + 1]!, name, ports[name], directory)));
      const proxy = await launchServer(directory, 'proxy');
      running.push(proxy);
      await untilHealthy(proxy, 'proxy', ports.proxy, directory);
      if (running[0]?.exitCode !== null) throw new Error(`memcached has ended with code ${running[0]?.exitCode}`);
      return { endpoint: `http://127.0.0.1:${ports.proxy}`, ...ACCESS, stop };
    } catch (error) {
      await stop();
      if (attempt === PORT_ATTEMPTS) throw error; // before that: somebody else may have taken a port in between
    }
  }
}

async function writeConfigs(directory: string, ports: Ports): Promise<void> {
  await mkdir(join(directory, 'devices/disk'), { recursive: true });
  await writeConfig(directory, 'swift', { 'swift-hash': { swift_hash_path_prefix: 'tests', swift_hash_path_suffix: 'tests' }, 'storage-policy:0': { name: 'Policy-0', default: 'yes' } });
  const { stdout } = await runProgram('id', ['-un'], { timeoutMs: 5_000 });
  // No workers: one process each, whose end is the end of all.
  const shared = { bind_ip: '127.0.0.1', swift_dir: directory, user: stdout.trim(), workers: 0, log_level: 'INFO' };
  for (const name of SERVERS) {
    await writeConfig(directory, name, {
      DEFAULT: { ...shared, bind_port: ports[name], devices: join(directory, 'devices'), mount_check: 'false', fallocate_reserve: 0 },
      'pipeline:main': { pipeline: `healthcheck ${name}-server` },
      'filter:healthcheck': { use: 'egg:swift#healthcheck' },
      [`app:${name}-server`]: { use: `egg:swift#${name}` },
    });
  }
  const filters: Readonly<Record<string, Record<string, string>>> = {
    catch_errors: {},
    gatekeeper: {},
    healthcheck: {},
    cache: { use: 'egg:swift#memcache', memcache_servers: `127.0.0.1:${ports.memcached}` },
    listing_formats: {},
    bulk: {},
    s3api: { s3_acl: 'false', location: 'us-east-1' },
    tempauth: { user_test_tester: `${ACCESS.secret} .admin` },
    copy: {},
    slo: {},
    dlo: {},
    versioned_writes: { allow_versioned_writes: 'true', allow_object_versioning: 'true' },
    symlink: {},
  };
  await writeConfig(directory, 'proxy', {
    DEFAULT: { ...shared, bind_port: ports.proxy },
    'pipeline:main': { pipeline: [...Object.keys(filters), 'proxy-server'].join(' ') },
    'app:proxy-server': { use: 'egg:swift#proxy', account_autocreate: 'true', allow_account_management: 'true' },
    ...Object.fromEntries(Object.entries(filters).map(([name, settings]) => [`filter:${name}`, { use: `egg:swift#${name}`, ...settings }])),
  });
  await runProgram(PYTHON, ['-c', MAKE_RINGS, directory, ...SERVERS.flatMap((name) => [name, String(ports[name])])], { timeoutMs: START_TIMEOUT_MS, cwd: directory });
}

async function writeConfig(directory: string, name: string, sections: Record<string, Record<string, string | number>>): Promise<void> {
  const text = Object.entries(sections).map(([section, values]) => [`[${section}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`)].join('\n'));
  await writeFile(join(directory, `${name}.conf`), `${text.join('\n\n')}\n`, { mode: 0o600 });
}

const launchServer = (directory: string, name: string): Promise<ChildProcess> => launch(directory, name, [PYTHON, `/usr/bin/swift-${name}-server`, join(directory, `${name}.conf`), '--verbose']);

async function launch(directory: string, name: string, command: readonly string[]): Promise<ChildProcess> {
  const log = await open(join(directory, `${name}.log`), 'a');
  try {
    return spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: ['ignore', log.fd, log.fd], cwd: directory });
  } finally {
    await log.close();
  }
}

async function untilHealthy(child: ChildProcess, name: string, port: number, directory: string): Promise<void> {
  const http = createHttpClient({ timeoutMs: 5_000 });
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await http.get<unknown>(`http://127.0.0.1:${port}/healthcheck`).catch(() => undefined); // not listening yet
    if (answer?.status === 200 && !hasEnded(child)) return;
    if (hasEnded(child) || Date.now() > deadline) throw new Error(`Swift's ${name} server did not come up on port ${port}: ${(await readFile(join(directory, `${name}.log`), 'utf8')).slice(-2_000)}`);
    await pause(100);
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL'); // nothing of it is kept
  await exited;
}
