import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { bootSchema, type DhcpConfig } from '../../../../conductor/config-boot.ts';
import { dhcpConfigText, existingDhcpText } from '../../../../conductor/netboot/dhcp-config.ts';
import { runProgram } from '../../../../protocol/program.ts';

const BASE = 'http://10.77.0.1:6387';
const FILES = { leases: '/state/leases', tftpRoot: '/state/tftp', knownMachines: '/state/known', pidFile: '/state/pid' };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-dhcp-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const parse = (dhcp: unknown): DhcpConfig => bootSchema.parse({ dhcp }).dhcp!;
const server = (more: Record<string, unknown> = {}): DhcpConfig => parse({ interface: 'br0', range: ['10.77.0.100', '10.77.0.200'], ...more });
const proxy = (): DhcpConfig => parse({ interface: 'br0', mode: 'proxy', range: ['10.77.0.0'] });

/** dnsmasq's own opinion of a configuration. */
async function checkSyntax(text: string): Promise<void> {
  const file = join(directory, 'dnsmasq.conf');
  await writeFile(file, text);
  expect((await runProgram('dnsmasq', ['--test', `--conf-file=${file}`], { timeoutMs: 10_000 })).stderr).toContain('syntax check OK');
}

test.each<[string, string]>([
  ['a server', dhcpConfigText(server(), BASE, FILES)],
  ['a server with everything', dhcpConfigText(server({ netmask: '255.255.255.0', router: '10.77.0.254', dns_servers: ['10.77.0.2', '10.77.0.3'], lease_s: 120, known_only: true }), BASE, FILES, { ipv6: true })],
  ['a proxy', dhcpConfigText(proxy(), BASE, FILES)],
  ['an existing server', existingDhcpText('server', BASE, '/ramdisk')],
  ['an existing proxy', existingDhcpText('proxy', BASE, '/ramdisk')],
])('dnsmasq understands the configuration of %s', async (_what, text) => {
  await checkSyntax(text);
});

test('dnsmasq refuses what it does not understand: the test above can fail', async () => {
  await expect(checkSyntax('dhcp-match=set:ipxe\nno-such-option')).rejects.toThrow(/dnsmasq failed/);
});

test('it is no DNS server, serves one interface, and keeps everything in its own directory', () => {
  const lines = dhcpConfigText(server(), BASE, FILES).split('\n');
  for (const line of ['port=0', 'interface=br0', 'bind-interfaces', 'no-resolv', 'no-hosts', 'dhcp-leasefile=/state/leases', 'tftp-root=/state/tftp', 'dhcp-range=10.77.0.100,10.77.0.200,3600s']) expect(lines).toContain(line);
});

test('machines get neither router nor name servers unless they are configured', () => {
  const without = dhcpConfigText(server(), BASE, FILES).split('\n');
  expect(without).toEqual(expect.arrayContaining(['dhcp-option=option:router', 'dhcp-option=option:dns-server']));
  const given = dhcpConfigText(server({ router: '10.77.0.254', dns_servers: ['10.77.0.2', '10.77.0.3'] }), BASE, FILES).split('\n');
  expect(given).toEqual(expect.arrayContaining(['dhcp-option=option:router,10.77.0.254', 'dhcp-option=option:dns-server,10.77.0.2,10.77.0.3']));
});

test('only known machines are answered when that is asked for', () => {
  expect(dhcpConfigText(server({ known_only: true }), BASE, FILES)).toContain('dhcp-hostsfile=/state/known\ndhcp-ignore=tag:!known\n');
  expect(dhcpConfigText(server(), BASE, FILES)).not.toContain('known');
});

test('an IPv6 prefix is told in a network of our own only', () => {
  expect(dhcpConfigText(server(), BASE, FILES, { ipv6: true })).toContain('enable-ra');
  expect(dhcpConfigText(server(), BASE, FILES)).not.toContain('enable-ra');
  expect(dhcpConfigText(proxy(), BASE, FILES, { ipv6: true })).not.toContain('enable-ra');
});

test.each<[string, unknown, RegExp]>([
  ['one address for a server', { interface: 'br0', range: ['10.77.0.100'] }, /first and the last/],
  ['two addresses for a proxy', { interface: 'br0', mode: 'proxy', range: ['10.77.0.1', '10.77.0.2'] }, /network's address alone/],
  ['an interface that would be another option', { interface: 'br0\nuser=x', range: ['10.77.0.100', '10.77.0.200'] }, /name of a network interface/],
  ['a router that is none', { interface: 'br0', range: ['10.77.0.100', '10.77.0.200'], router: '1,2' }, /IPv4/],
])('%s is refused', (_what, dhcp, message) => {
  expect(() => parse(dhcp)).toThrow(message);
});
