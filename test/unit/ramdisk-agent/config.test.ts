import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseKernelConfig, readConfigFile, readKernelConfig } from '../../../ramdisk-agent/config.ts';
import { parseBootInterface, parseKernelParameters } from '../../../ramdisk-agent/kernel-parameters.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-config-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const MINIMUM = { api_url: 'https://192.0.2.1:6386', addresses: ['52:54:00:AB:CD:EF'], run_directory: '/run/agent' };

async function read(config: unknown): Promise<ReturnType<typeof readConfigFile>> {
  const path = join(directory, 'agent.json');
  await writeFile(path, typeof config === 'string' ? config : JSON.stringify(config));
  return readConfigFile(path);
}

describe('the configuration file', () => {
  test('needs three keys and fills in the others', async () => {
    expect(await read(MINIMUM)).toEqual({ ...MINIMUM, addresses: ['52:54:00:ab:cd:ef'], listen_host: '0.0.0.0', listen_port: 9999, insecure: false, lookup_timeout_s: 600, log_level: 'info' });
  });

  test.each([
    ['api_url', 'not a url'],
    ['api_url', 'ftp://192.0.2.1'],
    ['api_url', undefined],
    ['addresses', []],
    ['addresses.0', ['52-54-00-12-34-56']],
    ['run_directory', 'relative/path'],
    ['run_directory', '/with space'],
    ['run_directory', '/with,comma'],
    ['run_directory', '/'],
    ['devices', []],
    ['devices.0', ['sda']],
    ['listen_port', 65_536],
    ['advertise_port', 0],
    ['lookup_timeout_s', 0],
    ['agent_token', 'short'],
    ['cache_size_bytes', 1.5],
    ['boot_nonce', 'with a space'],
    ['ramdisk.idle_timeout_s', { idle_timeout_s: 0 }],
    ['ramdisk', { silence: 1 }],
    ['reboot_command', []],
    ['reboot_command', ['/sbin/reboot']], // this system is not for a configuration to boot
    ['log_level', 'loud'],
  ])('an error names the key: %s', async (key, value) => {
    const name = key.replace(/\..*/, '');
    await expect(read({ ...MINIMUM, [name]: value })).rejects.toThrow(`"${key}"`);
  });

  test('a disk is a path, or a path with what it is known by; hardware goes with named disks only', async () => {
    const devices = ['/dev/loop1', { path: '/dev/loop2', serial: 'S', wwn: null }];
    expect(await read({ ...MINIMUM, devices, hardware: { boot_mode: 'uefi' } })).toMatchObject({ devices, hardware: { boot_mode: 'uefi', disk_driver: null, memory_bytes: 0, cpu: { count: 1 } } });
    await expect(read({ ...MINIMUM, devices: [{ serial: 'S' }] })).rejects.toThrow('"devices.0": expected an absolute path, or {"path", "serial", "wwn", "model"}');
    await expect(read({ ...MINIMUM, devices, hardware: { boot_mode: 'coreboot' } })).rejects.toThrow('"hardware.boot_mode"');
    await expect(read({ ...MINIMUM, hardware: {} })).rejects.toThrow('"hardware": describes a machine whose disks are named in "devices"');
  });

  test('unknown keys are refused', async () => {
    await expect(read({ ...MINIMUM, api_urls: 'x' })).rejects.toThrow('"api_urls"');
  });

  test('a file that is missing or no JSON is named', async () => {
    expect(() => readConfigFile('/nonexistent/agent.json')).toThrow('/nonexistent/agent.json: expected a JSON file that can be read');
    await expect(read('{')).rejects.toThrow('agent.json: expected a JSON file');
  });
});

describe('the kernel command line', () => {
  test('configures an agent in the ramdisk', () => {
    const line = 'console=ttyS0 ipa-api-url=https://192.0.2.1:6386 ipa-listen-port=10000 ipa-lookup-timeout=300 ipa-insecure=1 ipa-advertise-host=192.0.2.9 ipa-agent-token=0123456789012345678901234567890123456789012 BOOTIF=01-52-54-00-AA-BB-CC quiet\n';
    expect(parseKernelConfig(line, ['52:54:00:11:22:33', '52:54:00:aa:bb:cc'])).toMatchObject({
      api_url: 'https://192.0.2.1:6386',
      addresses: ['52:54:00:aa:bb:cc', '52:54:00:11:22:33'],
      listen_port: 10_000,
      lookup_timeout_s: 300,
      insecure: true,
      advertise_host: '192.0.2.9',
      agent_token: '0123456789012345678901234567890123456789012',
    });
  });

  test('and the small initramfs bring the nonce, the certificate and when the machine leaves the ramdisk by itself', () => {
    const line = 'ipa-api-url=https://192.0.2.1:6386 metalshot-boot-nonce=Zm9v-bar_baz';
    expect(parseKernelConfig(line, ['52:54:00:11:22:33'])).toMatchObject({ boot_nonce: 'Zm9v-bar_baz', ca_file: undefined, ramdisk: { conductor_silence_timeout_s: 900, idle_timeout_s: 1_800, watchdog_timeout_s: 120 } });
    expect(parseKernelConfig(line, ['52:54:00:11:22:33'], { settings: { idle_timeout_s: 60 }, caFile: '/etc/metalshot/conductor-ca.pem' })).toMatchObject({ ca_file: '/etc/metalshot/conductor-ca.pem', ramdisk: { idle_timeout_s: 60, watchdog_timeout_s: 120 } });
    expect(() => parseKernelConfig(line, ['52:54:00:11:22:33'], { settings: { watchdog_timeout_s: -1 } })).toThrow(/ramdisk is \/etc\/metalshot\/ramdisk\.json\): "ramdisk\.watchdog_timeout_s"/);
  });

  test('an error names the parameter and where it comes from', () => {
    expect(() => parseKernelConfig('quiet', ['52:54:00:11:22:33'])).toThrow(/kernel command line \(api_url is ipa-api-url, and so on; .*\): "api_url"/);
  });

  test('is not read outside the ramdisk', () => {
    expect(() => readKernelConfig()).toThrow('expected --config FILE');
  });

  test.each([
    ['a=1 b a=2', [['a', '2'], ['b', '']]],
    ['x="one two" y=a=b', [['x', 'one two'], ['y', 'a=b']]],
    ['  spaced   out ', [['spaced', ''], ['out', '']]],
    ['', []],
  ])('%j', (line, expected) => {
    expect([...parseKernelParameters(line)]).toEqual(expected);
  });

  test.each([
    ['01-52-54-00-AA-BB-CC', '52:54:00:aa:bb:cc'],
    ['eth0', null],
    ['', null],
  ])('BOOTIF=%s', (value, expected) => {
    expect(parseBootInterface(value)).toBe(expected);
  });
});
