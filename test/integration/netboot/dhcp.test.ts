/** A conductor with a dnsmasq of its own, and clients that ask it as PXE ROMs, iPXE and UEFI do, on a cable of the test's own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { describeWhere } from '../../machine-needs.ts';
import { DIST } from '../../rig/dist.ts';
import { NetworkNamespace } from '../../rig/network-namespace.ts';
import { ProgramProcess } from '../../rig/program-process.ts';
import { until } from '../../rig/until.ts';
import { RamdiskStage } from '../../unit/conductor/netboot/ramdisk-stage.ts';

const ADDRESS = '10.77.0.1';
const BASE = `http://${ADDRESS}:6387`;
const MAC = '52:54:00:4d:55:01';
const DISCOVER = new URL('../../rig/dhcp-discover.mjs', import.meta.url).pathname;
const START_TIMEOUT_MS = 150_000; // machines that run other suites beside are slow
const SERVER = { interface: 'eth0', range: ['10.77.0.100', '10.77.0.200'] };

/** What kinds of clients say of themselves: vendor class (60), architecture (93), and what only iPXE sends (175). */
const CLIENTS = {
  'a PXE ROM of BIOS': { vendor: 'PXEClient:Arch:00000:UNDI:002001', options: { 93: '0000' } },
  'a PXE ROM of UEFI': { vendor: 'PXEClient:Arch:00007:UNDI:003016', options: { 93: '0007' } },
  'a PXE ROM of UEFI that says it otherwise': { vendor: 'PXEClient:Arch:00009:UNDI:003016', options: { 93: '0009' } },
  'iPXE with BIOS': { vendor: 'PXEClient:Arch:00000:UNDI:002001', options: { 93: '0000', 175: '010101' } },
  'iPXE with UEFI': { vendor: 'PXEClient:Arch:00007:UNDI:003010', options: { 93: '0007', 175: '010101' } },
  'UEFI that boots by HTTP': { vendor: 'HTTPClient:Arch:00016:UNDI:003001', options: { 93: '0010' } },
  'an operating system': { vendor: 'udhcp', options: {} },
} as const;
type Client = keyof typeof CLIENTS;

describeWhere(['root'], 'DHCP by the conductor', () => {
  let directory: string;
  let stage: RamdiskStage;
  let server: NetworkNamespace;
  let client: NetworkNamespace;
  let conductor: ProgramProcess;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-dhcp-'));
    stage = await RamdiskStage.make({ 'undionly.kpxe': Buffer.alloc(70_000, 'undionly') });
    server = await NetworkNamespace.open();
    client = await NetworkNamespace.open();
    await server.run('ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'address', MAC, 'netns', String(client.pid)]);
    await server.run('ip', ['address', 'add', `${ADDRESS}/24`, 'dev', 'eth0']);
    await client.run('ip', ['address', 'add', '10.77.0.50/24', 'dev', 'eth0']);
    for (const side of [server, client]) await side.run('ip', ['link', 'set', 'eth0', 'up']);
    await writeFile(join(directory, 'lease'), `#!/bin/sh\n[ "$1" = bound ] || exit 0\necho "LEASE {\\"ip\\":\\"$ip\\",\\"siaddr\\":\\"$siaddr\\",\\"file\\":\\"$bootfile\\",\\"router\\":\\"$router\\",\\"vendor\\":\\"$vendor\\"}"\n`, { mode: 0o755 });
  });
  beforeEach(() => mkdir(join(directory, 'state')));
  afterEach(async () => {
    await conductor.stop();
    await rm(join(directory, 'state'), { recursive: true });
  });
  afterAll(async () => {
    await client?.close();
    await server?.close();
    await stage?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  async function launch(boot: Record<string, unknown>): Promise<void> {
    const file = join(directory, 'conductor.yaml');
    await writeFile(file, stringify({ state_directory: join(directory, 'state'), enabled_hardware_types: ['fake-hardware'], boot: { host: ADDRESS, ramdisk_directory: stage.directory, ...boot } }));
    conductor = new ProgramProcess('conductor', join(DIST, 'conductor/main.js'), ['--config', file], {}, server.launcher);
  }
  async function start(dhcp: Record<string, unknown>): Promise<void> {
    await launch({ dhcp });
    await conductor.line('conductor is ready', ({ msg }) => msg === 'conductor is ready', START_TIMEOUT_MS);
  }

  /** What a client of this kind, which takes an address, is given; null: nothing. */
  async function lease(kind: Client, tries = 12): Promise<Record<string, string> | null> {
    const { vendor, options } = CLIENTS[kind];
    const sent = Object.entries(options).flatMap(([code, hex]) => ['-x', `0x${Number(code).toString(16)}:${hex}`]);
    const { stdout } = await client.run('busybox', ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', String(tries), '-T', '1', '-A', '1', '-s', join(directory, 'lease'), '-V', vendor, '-O', 'bootfile', '-O', 'tftp', ...sent], { acceptedExitCodes: [0, 1], timeoutMs: 25_000 });
    const [, json] = /LEASE (\{.*\})/.exec(stdout) ?? [];
    return json === undefined ? null : (JSON.parse(json) as Record<string, string>);
  }
  /** What one that has an address already is told besides; a ROM then asks the boot service (port 4011) for what is meant for it (PXE 2.1). */
  async function discover(kind: Client, asBootService = false): Promise<{ siaddr: string; file: string; options: Record<string, string> } | null> {
    const { vendor, options } = CLIENTS[kind];
    const item = asBootService && 93 in options && options[93] === '0000' ? { 43: '470480000000ff' } : {}; // the first of its menu
    const sent = Object.entries({ ...options, ...item, 53: asBootService ? '03' : '01', 60: Buffer.from(vendor).toString('hex'), 97: `00${'ab'.repeat(16)}` }).map(([code, hex]) => `${code}=${hex}`);
    const { stdout } = await client.run(process.execPath, [DISCOVER, asBootService ? `${ADDRESS}:4011` : '10.77.0.255:67', MAC, ...(asBootService ? ['ciaddr=0a4d0032'] : []), ...sent]);
    return JSON.parse(stdout) as Awaited<ReturnType<typeof discover>>;
  }
  const fetched = async (url: string): Promise<Buffer> => {
    const file = join(directory, 'fetched');
    await client.run('curl', ['--silent', '--show-error', '--fail', '--max-time', '10', '--output', file, url]);
    return await readFile(file);
  };
  const dnsmasqs = async (): Promise<string[]> => (await server.run('pgrep', ['--ns', String(server.pid), '--nslist', 'net', '--exact', 'dnsmasq'], { acceptedExitCodes: [0, 1] })).stdout.split('\n').filter(Boolean);

  test('gives every kind of client an address and what it boots; TFTP has the loaders and nothing else; all of it ends with the conductor', async () => {
    await start(SERVER);
    expect(conductor.lines.find(({ msg }) => msg === 'conductor is ready')).toMatchObject({ boot: BASE });
    const files: Record<Client, string> = {
      'a PXE ROM of BIOS': 'undionly.kpxe',
      'a PXE ROM of UEFI': 'snponly.efi',
      'a PXE ROM of UEFI that says it otherwise': 'snponly.efi',
      'iPXE with BIOS': `${BASE}/boot.ipxe`,
      'iPXE with UEFI': `${BASE}/boot.ipxe`,
      'UEFI that boots by HTTP': `${BASE}/snponly.efi`,
      'an operating system': '',
    };
    for (const [kind, file] of Object.entries(files) as [Client, string][]) {
      expect({ kind, ...(await lease(kind)) }).toMatchObject({ kind, ip: expect.stringMatching(/^10\.77\.0\.1\d\d$/), siaddr: ADDRESS, file, router: '', vendor: kind === 'UEFI that boots by HTTP' ? 'HTTPClient' : '' });
    }
    expect((await fetched(`tftp://${ADDRESS}/undionly.kpxe`)).equals(Buffer.alloc(70_000, 'undionly'))).toBe(true);
    for (const path of ['leases', '../leases', '/etc/passwd', 'manifest.json']) await expect(fetched(`tftp://${ADDRESS}/${path}`)).rejects.toThrow(/curl/);
    expect((await fetched(`${BASE}/boot.ipxe`)).toString()).toContain(`${BASE}/mac-\${netX/mac:hexhyp}.ipxe`);
    expect(await dnsmasqs()).toHaveLength(1);
    await conductor.stop();
    expect(await dnsmasqs()).toEqual([]);
  }, 300_000);

  test('a dnsmasq that dies is started again; with the conductor killed it is gone, and the next one starts', async () => {
    await start(SERVER);
    const [first = ''] = await dnsmasqs();
    process.kill(Number(first), 'SIGKILL');
    await conductor.line('dnsmasq died', ({ msg }) => msg?.startsWith('dnsmasq died') ?? false);
    const [second] = await until('another dnsmasq runs', async () => (await dnsmasqs()).length === 1 && (await dnsmasqs()));
    expect(second).not.toBe(first);
    expect(await lease('iPXE with BIOS')).toMatchObject({ file: `${BASE}/boot.ipxe` });
    await conductor.kill();
    await until('dnsmasq is gone', async () => (await dnsmasqs()).length === 0);
    await start(SERVER);
    expect(await dnsmasqs()).toHaveLength(1);
  }, 300_000);

  test('known_only: a machine is answered once it has a port, and not any more when that is gone', async () => {
    await start({ ...SERVER, known_only: true });
    const api = async (method: string, path: string, body: unknown): Promise<Record<string, string>> => {
      const { stdout } = await server.run('curl', ['--silent', '--show-error', '--fail', '--max-time', '10', '--request', method, '--header', 'Content-Type: application/json', '--header', 'X-OpenStack-Ironic-API-Version: 1.81', '--data', JSON.stringify(body), `http://127.0.0.1:6385${path}`]);
      return stdout === '' ? {} : (JSON.parse(stdout) as Record<string, string>);
    };
    expect(await lease('iPXE with BIOS', 2)).toBeNull();
    const { uuid: node } = await api('POST', '/v1/nodes', { driver: 'fake-hardware' });
    const { uuid: port } = await api('POST', '/v1/ports', { node_uuid: node, address: MAC });
    await until('the machine is answered', () => lease('iPXE with BIOS', 3), 40_000);
    await api('DELETE', `/v1/ports/${port}`, {});
    await until('the machine is not answered', async () => (await lease('iPXE with BIOS', 3)) === null, 40_000);
  }, 300_000);

  test('proxy: adds what is booted to what another server gives, and gives no address', async () => {
    await start({ interface: 'eth0', mode: 'proxy', range: ['10.77.0.0'] });
    for (const kind of ['iPXE with BIOS', 'iPXE with UEFI'] as const) {
      const answer = await discover(kind);
      expect(answer?.file || textOf(answer?.options['67'])).toBe(`${BASE}/boot.ipxe`);
    }
    for (const [kind, file] of [['a PXE ROM of BIOS', 'undionly.kpxe'], ['a PXE ROM of UEFI', 'snponly.efi'], ['a PXE ROM of UEFI that says it otherwise', 'snponly.efi']] as const) {
      expect(textOf((await discover(kind))?.options['60'])).toBe('PXEClient'); // so it knows whom to ask
      expect(await discover(kind, true)).toMatchObject({ siaddr: ADDRESS, file });
    }
    expect(await lease('an operating system', 2)).toBeNull();
  }, 300_000);

  describe('says what is wrong, with exit code 2', () => {
    test.each<[string, Record<string, unknown>, RegExp]>([
      ['an interface that is not there', { dhcp: { ...SERVER, interface: 'eth7' } }, /boot\.dhcp\.interface: eth7 .*does not exist.*ip link/],
      ['an interface without an address', { dhcp: { ...SERVER, interface: 'bare' } }, /boot\.dhcp\.interface: bare has no IPv4 address/],
      ['a directory without boot loaders', { ramdisk_directory: '/nowhere', dhcp: SERVER }, /boot\.ramdisk_directory: .*undionly\.kpxe.*npm run ramdisk/],
    ])('%s', async (_what, boot, message) => {
      await server.run('ip', ['link', 'add', 'bare', 'type', 'bridge'], { acceptedExitCodes: [0, 2] }); // there from the case before
      await launch(boot);
      expect(await conductor.ended()).toMatchObject({ code: 2 });
      expect(conductor.text).toMatch(message);
      expect(await dnsmasqs()).toEqual([]);
    }, 200_000);

    test('another DHCP server on the same port', async () => {
      const other = spawn('nsenter', [...server.launcher.slice(1), process.execPath, '-e', `require('node:dgram').createSocket('udp4').bind(67, () => console.log('bound'))`], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(other.stdout, 'data');
        await launch({ dhcp: SERVER });
        expect(await conductor.ended()).toMatchObject({ code: 2 });
        expect(conductor.text).toMatch(/boot\.dhcp: dnsmasq ended.*[Aa]ddress already in use/);
      } finally {
        other.kill('SIGKILL');
        await once(other, 'close');
      }
    }, 200_000);
  });
});

const textOf = (hex = ''): string => Buffer.from(hex, 'hex').toString('latin1').replace(/\0+$/, '');
