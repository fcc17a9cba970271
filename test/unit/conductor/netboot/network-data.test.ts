import { describe, expect, test } from '@jest/globals';
import { readFixedAddress } from '../../../../conductor/netboot/network-data.ts';
import type { JsonObject } from '../../../../protocol/json.ts';

/** As OpenStack's own example has it (nova, network_data.json). */
const EXAMPLE: { links: JsonObject[]; networks: JsonObject[]; services: JsonObject[] } = {
  links: [
    { id: 'interface2', vif_id: '2ecc7709-b3f7-4448-9580-e1ec32d75bbd', type: 'phy', ethernet_mac_address: 'A0:36:9F:2C:E8:70', mtu: 1500 },
    { id: 'vlan0', type: 'vlan', vlan_link: 'interface2', vlan_id: 101, vlan_mac_address: 'a0:36:9f:2c:e8:80' },
    { id: 'bond0', type: 'bond', bond_links: ['interface2'], ethernet_mac_address: 'a0:36:9f:2c:e8:90' },
  ],
  networks: [
    { id: 'n0', type: 'ipv4_dhcp', link: 'interface2' },
    { id: 'n1', type: 'ipv6', link: 'interface2', ip_address: '2001:db8::3257:9652', netmask: 'ffff:ffff:ffff:ffff::', routes: [] },
    { id: 'n2', type: 'ipv4', link: 'interface2', ip_address: '10.184.0.244', netmask: '255.255.240.0', routes: [{ network: '10.0.0.0', netmask: '255.0.0.0', gateway: '11.0.0.1' }, { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.184.0.1' }] },
  ],
  services: [{ type: 'dns', address: '8.8.8.8' }],
};
const withNetwork = (network: JsonObject): JsonObject => ({ links: EXAMPLE.links, networks: [{ type: 'ipv4', ip_address: '192.0.2.7/24', ...network }] });
const ONLY_IPV6: JsonObject = { networks: EXAMPLE.networks.filter(({ type }) => type === 'ipv6') };

describe('the fixed address of a ramdisk', () => {
  test('is that of the first IPv4 network with one, its gateway that of the default route', () => {
    expect(readFixedAddress(EXAMPLE)).toEqual({ address: '10.184.0.244', prefixLength: 20, gateway: '10.184.0.1', mac: 'a0:36:9f:2c:e8:70', vlan: null });
  });

  test('there is none without a document, and none where addresses come by DHCP', () => {
    expect(readFixedAddress({})).toBeNull();
    expect(readFixedAddress({ networks: [{ type: 'ipv4_dhcp', link: 'l' }] })).toBeNull();
  });

  test('the prefix may stand with the address or as a number', () => {
    expect(readFixedAddress(withNetwork({}))).toMatchObject({ address: '192.0.2.7', prefixLength: 24, gateway: null, mac: null });
    expect(readFixedAddress(withNetwork({ ip_address: '192.0.2.7', netmask: 26, routes: [{ network: '0.0.0.0/0', gateway: '192.0.2.1' }] }))).toMatchObject({ prefixLength: 26, gateway: '192.0.2.1' });
  });

  test('a VLAN link gives the tag and the card below it', () => {
    expect(readFixedAddress(withNetwork({ link: 'vlan0' }))).toMatchObject({ vlan: 101, mac: 'a0:36:9f:2c:e8:70' });
  });

  test.each<[string, JsonObject, RegExp]>([
    ['no mask', withNetwork({ ip_address: '192.0.2.7' }), /networks\.0\.netmask: expected a mask/],
    ['a mask with holes', withNetwork({ ip_address: '192.0.2.7', netmask: '255.0.255.0' }), /netmask: expected a mask/],
    ['a prefix that is none', withNetwork({ ip_address: '192.0.2.7/33' }), /netmask: expected a mask/],
    ['no address', withNetwork({ ip_address: 'server1' }), /networks\.0\.ip_address: expected an IPv4 address/],
    ['a gateway that is none', withNetwork({ routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: 'router panic=0' }] }), /routes: expected an IPv4 address/],
    ['an unknown link', withNetwork({ link: 'eth9' }), /no link with the id "eth9"/],
    ['a bond', withNetwork({ link: 'bond0' }), /is a bond/],
    ['IPv6 alone', ONLY_IPV6, /expected a network of the type "ipv4"/],
    ['another document', { networks: 'all' }, /network_data: expected a document of the form of OpenStack/],
  ])('%s is refused with the reason', (_what, document, reason) => {
    expect(() => readFixedAddress(document)).toThrow(reason);
  });
});
