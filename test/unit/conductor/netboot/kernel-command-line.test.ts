import { describe, expect, test } from '@jest/globals';
import { composeBootInterface, composeKernelCommandLine } from '../../../../conductor/netboot/kernel-command-line.ts';
import type { JsonObject } from '../../../../protocol/json.ts';

const PORTS = [
  { address: '52:54:00:00:00:01', pxeEnabled: false },
  { address: '52:54:00:00:00:02', pxeEnabled: true },
];
const NETWORK_DATA = { networks: [{ type: 'ipv4', ip_address: '192.0.2.7', netmask: '255.255.255.0', routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '192.0.2.1' }] }] };

const compose = (driverInfo: JsonObject = {}, networkData: JsonObject = {}, kernelParameters = 'console=ttyS0'): string =>
  composeKernelCommandLine({ node: { driverInfo, networkData }, ports: PORTS, apiUrl: 'https://[fd00::1]:6386', nonce: 'n-o_nce', kernelParameters });

describe("the kernel's command line", () => {
  test('tells where the conductor is and which boot this is, and makes a panic end in a reboot', () => {
    expect(compose()).toBe('console=ttyS0 panic=10 ipa-api-url=https://[fd00::1]:6386 metalshot-boot-nonce=n-o_nce');
  });

  test('has the VLAN and the fixed address of the node', () => {
    expect(compose({ provisioning_vlan: '4094' }, NETWORK_DATA)).toMatch(/ metalshot-vlan=4094 metalshot-ip=192\.0\.2\.7\/24,192\.0\.2\.1$/);
    expect(compose({ provisioning_vlan: 12 })).toMatch(/ metalshot-vlan=12$/);
  });

  test("has the node's own parameters besides the configuration's, whichever way Ironic's users write them", () => {
    expect(compose({ kernel_append_params: 'nofb  metalshot-shell' })).toMatch(/^console=ttyS0 nofb metalshot-shell panic=10 /);
    expect(compose({ kernel_append_params: '%default% nomodeset' })).toMatch(/^console=ttyS0 nomodeset panic=10 /);
  });

  test.each([0, 4095, 1.5, '12a', '', null, true, [7]].filter((value) => value !== '' && value !== null))('a VLAN tag of %j is refused', (provisioning_vlan) => {
    expect(() => compose({ provisioning_vlan })).toThrow(/provisioning_vlan: expected a number from 1 to 4094/);
  });

  test.each(['a\nb', 'a\tb', 'ä', 7, ['a']])('additional parameters that are not one line of text are refused: %j', (kernel_append_params) => {
    expect(() => compose({ kernel_append_params })).toThrow(/driver_info\.kernel_append_params: expected one line of printable ASCII/);
  });

  test.each(['a="b"', "a='b'", 'a\\b', '${net0/ip}', 'a{', 'a;b', 'a && b', 'a || b', '#a', '`a`', 'a>b', '$(a)'])('what a boot loader would not leave as it is is refused: %s', (text) => {
    expect(() => compose({ kernel_append_params: text })).toThrow(/which boot loaders do not leave as they are/);
    expect(() => compose({}, {}, text)).toThrow(/boot\.kernel_parameters: expected kernel parameters without/);
  });

  test.each(['panic=0', 'metalshot-boot-nonce=mine', 'ipa-api-url=http://elsewhere', 'BOOTIF=01-00', '--', 'metalshot-ip=192.0.2.9/24', 'initrd=other'])('%s is not for a node to say', (text) => {
    expect(() => compose({ kernel_append_params: `quiet ${text}` })).toThrow(/is not for you to set/);
  });

  test('one that the kernel would cut is refused', () => {
    expect(() => compose({ kernel_append_params: `x=${'y'.repeat(1_900)}` })).toThrow(/would have \d+ characters, 1900 are possible/);
  });
});

describe('the interface that boots', () => {
  const choose = (networkData: JsonObject, ports: typeof PORTS = PORTS): string => composeBootInterface({ node: { driverInfo: {}, networkData }, ports });
  const linked = (mac: string): JsonObject => ({ links: [{ id: 'l', type: 'phy', ethernet_mac_address: mac }], networks: [{ ...NETWORK_DATA.networks[0], link: 'l' }] });

  test('is the first port that boots from the network, or the first', () => {
    expect(choose({})).toBe('BOOTIF=01-52-54-00-00-00-02');
    expect(choose({}, [PORTS[0]!])).toBe('BOOTIF=01-52-54-00-00-00-01');
  });

  test('is the one that network_data gives the address to', () => {
    expect(choose(linked('52:54:00:00:00:01'.toUpperCase()))).toBe('BOOTIF=01-52-54-00-00-00-01');
    expect(() => choose(linked('52:54:00:00:00:09'))).toThrow(/its link has the MAC address 52:54:00:00:00:09, expected that of one of the node's ports/);
  });

  test('there has to be one', () => {
    expect(() => choose({}, [])).toThrow(/at least one port/);
  });
});
