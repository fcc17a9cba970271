/** How the conductor's process starts, refuses to start, and ends. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BaremetalApi } from '../../rig/baremetal-api.ts';
import { DIST } from '../../rig/dist.ts';
import { freePort } from '../../rig/free-port.ts';
import { descendantsOf } from '../../rig/processes.ts';
import { ProgramProcess } from '../../rig/program-process.ts';

describe('the conductor\'s process', () => {
  const started: ProgramProcess[] = [];
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'conductor-process-'));
  });
  afterEach(async () => {
    for (const process of started.splice(0)) if (process.running) await process.kill();
    await rm(directory, { recursive: true, force: true });
  });

  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): ProgramProcess => {
    const process = new ProgramProcess('conductor', join(DIST, 'conductor/main.js'), args, env);
    started.push(process);
    return process;
  };
  /** Runs to its end. */
  async function outcome(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; text: string }> {
    const process = run(args, env);
    const { code } = await process.ended();
    return { code, text: process.text };
  }
  async function configFile(config: Record<string, unknown>): Promise<string> {
    const file = join(directory, `${randomUUID()}.yaml`);
    await writeFile(file, stringify({ state_directory: join(directory, 'state'), ...config }));
    return file;
  }

  test('--help names every option, the environment, the defaults, the signals and the exit codes', async () => {
    const { code, text } = await outcome(['--help']);
    expect(code).toBe(0);
    for (const part of ['--config', '--check', '--help', 'METALSHOT_API__PORT', '127.0.0.1:6385', '6386', '9292', './var', 'SIGTERM', 'Exit codes', 'docs/configuration.md']) expect(text).toContain(part);
  });

  test('--check prints the whole configuration with the environment over the file, and starts nothing', async () => {
    const { code, text } = await outcome(['--config', await configFile({ api: { port: 1234 }, log_level: 'warn' }), '--check'], { METALSHOT_API__PORT: '7001', METALSHOT_ENABLED_HARDWARE_TYPES: '[redfish, fake-hardware]' });
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ api: { port: 7001, host: '127.0.0.1', tls: 'none' }, log_level: 'warn', enabled_hardware_types: ['redfish', 'fake-hardware'], snapshot: { max_concurrent: 2 }, state_directory: join(directory, 'state') });
    await expect(readFile(join(directory, 'state'))).rejects.toThrow(/ENOENT/);
  });

  test('--check shows no secret, be it from the file or from the environment', async () => {
    const keystone = { auth_url: 'https://keystone.example', username: 'u', password: 'HIDE-1', project_name: 'service' };
    const { code, text } = await outcome(['--config', await configFile({ api: { auth: 'keystone', keystone } }), '--check'], { METALSHOT_IMAGE_SERVICE__TOKEN: 'HIDE-2' });
    expect(code).toBe(0);
    expect(text).not.toContain('HIDE');
    expect(JSON.parse(text)).toMatchObject({ api: { keystone: { username: 'u', password: '******' } }, image_service: { token: '******' } });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['a key that does not exist', { api: { prot: 1 } }, /api.*prot/],
    ['beyond loopback without authentication', { api: { host: '0.0.0.0', tls: 'self-signed' } }, /api\.host: 0\.0\.0\.0.*api\.auth: http_basic/],
    ['beyond loopback without TLS', { api: { host: '0.0.0.0', auth: 'http_basic', http_basic_file: '/nowhere' } }, /api\.host: 0\.0\.0\.0.*api\.tls/],
    ['a hardware type that does not exist', { enabled_hardware_types: ['ilo'], api: { port: 0 }, provisioning: { port: 0 }, image_service: { embedded: { port: 0 } } }, /enabled_hardware_types: "ilo" is not a hardware type; known are/],
    ['an authority of image servers that is not there', { deploy: { ca_file: '/nowhere' }, api: { port: 0 }, provisioning: { port: 0 }, image_service: { embedded: { port: 0 } } }, /deploy\.ca_file: \/nowhere cannot be read/],
  ])('refuses %s with exit code 2, naming the key', async (_what, config, message) => {
    const { code, text } = await outcome(['--config', await configFile(config)]);
    expect(text).toMatch(message);
    expect(text).not.toMatch(/\n\s+at /); // a sentence, not a stack
    expect(code).toBe(2);
  });

  test('refuses wrong arguments, a missing file and what is no YAML', async () => {
    const file = join(directory, 'bad.yaml');
    await writeFile(file, 'api: [1');
    const runs: [string[], NodeJS.ProcessEnv, RegExp][] = [
      [['--bogus'], {}, /bogus.*--help/],
      [['--config'], {}, /config.*--help/],
      [['--config', join(directory, 'missing.yaml')], {}, /missing\.yaml/],
      [['--config', file], {}, /is not YAML/],
      [['--check'], { METALSHOT_API__PORT: '[1' }, /METALSHOT_API__PORT: its value is not YAML/],
    ];
    for (const [index, { code, text }] of (await Promise.all(runs.map(([args, env]) => outcome(args, env)))).entries()) {
      expect({ code, text }).toEqual({ code: 2, text: expect.stringMatching(runs[index]?.[2] ?? '') });
      expect(text).not.toMatch(/\n\s+at /); // a sentence, not a stack
    }
  });

  test.each(['api', 'provisioning', 'image_service.embedded'])('refuses to start when the port of %s is taken, naming the key, and leaves no process', async (section) => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port)));
    try {
      const ports = { api: 0, provisioning: 0, 'image_service.embedded': 0, [section]: port };
      const { code, text } = await outcome(['--config', await configFile({ api: { port: ports.api }, provisioning: { port: ports.provisioning }, image_service: { embedded: { port: ports['image_service.embedded'] } } })]);
      expect({ code, text }).toEqual({ code: 2, text: expect.stringMatching(new RegExp(`${section}\\.port: cannot listen on 127.0.0.1:${port}: another program listens there`)) });
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  });

  test('started twice: the second says so and ends, the first goes on unharmed', async () => {
    const ports = { api: { port: await freePort() }, provisioning: { port: await freePort() }, image_service: { embedded: { port: await freePort() } } };
    const file = await configFile({ ...ports, enabled_hardware_types: ['fake-hardware'] });
    const first = run(['--config', file]);
    await first.line('ready', (line) => line.msg === 'conductor is ready');
    const api = new BaremetalApi(`http://127.0.0.1:${ports.api.port}`);
    const { uuid } = await api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name: 'kept' });
    expect(await outcome(['--config', file])).toMatchObject({ code: 2, text: expect.stringMatching(/state_directory: another conductor works in/) });
    expect(await outcome(['--config', file], { METALSHOT_STATE_DIRECTORY: join(directory, 'another') })).toMatchObject({ code: 2, text: expect.stringMatching(/api\.port.*another program listens there/) });
    expect((await api.node('kept')).uuid).toBe(uuid);
    await api.demand('kept', 'manage');
    await api.settled('kept', 'manageable');
    await first.stop();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it with code 0 while a client keeps its connection and a snapshot waits, and nothing of it is left', async (signal) => {
    const ports = { api: { port: await freePort() }, provisioning: { port: 0 }, image_service: { embedded: { port: 0 } } };
    const conductor = run(['--config', await configFile({ ...ports, enabled_hardware_types: ['fake-hardware'] })]);
    await conductor.line('ready', (line) => line.msg === 'conductor is ready');
    const api = new BaremetalApi(`http://127.0.0.1:${ports.api.port}`);
    await api.expect(201, 'POST', '/v1/nodes', { driver: 'fake-hardware', name: 'waiting' });
    for (const [verb, state] of [['manage', 'manageable'], ['adopt', 'active']] as const) {
      await api.demand('waiting', verb);
      await api.settled('waiting', state);
    }
    await api.demand('waiting', 'snapshot', { image_ref: randomUUID() });
    await api.settled('waiting', 'snapshot wait');
    const client = connect(ports.api.port, '127.0.0.1');
    client.on('error', () => undefined); // it is cut off, which is the point
    await new Promise((resolve) => client.write('POST /v1/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{', resolve));
    process.kill(conductor.pid, signal);
    expect(await conductor.ended()).toEqual({ code: 0, signal: null });
    client.destroy();
    expect(conductor.text).toContain('conductor stops');
    expect((await descendantsOf(process.pid)).filter(({ args }) => args.join(' ').includes(directory))).toEqual([]);
  });
});
