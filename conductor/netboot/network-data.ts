import { isIP, isIPv4 } from 'node:net';
import { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';

/** What of OpenStack's network_data.json a ramdisk can be told; everything else in it is left alone. */
const networkDataSchema = z.looseObject({
  links: z.array(z.looseObject({ id: z.string(), type: z.string().optional(), ethernet_mac_address: z.string().nullish(), vlan_id: z.coerce.number().int().min(1).max(4094).nullish(), vlan_link: z.string().nullish() })).default([]),
  networks: z
    .array(
      z.looseObject({
        type: z.string(),
        link: z.string().nullish(),
        ip_address: z.string().nullish(),
        netmask: z.union([z.string(), z.number()]).nullish(),
        routes: z.array(z.looseObject({ network: z.string(), netmask: z.union([z.string(), z.number()]).nullish(), gateway: z.string() })).default([]),
      }),
    )
    .default([]),
});
type NetworkDocument = z.infer<typeof networkDataSchema>;

/** How the machine is to be reached in its provisioning network when nothing there gives addresses. */
export interface FixedAddress {
  address: string;
  prefixLength: number;
  gateway: string | null;
  /** Of the interface that gets the address, lower case; null: the one that boots. */
  mac: string | null;
  vlan: number | null;
}

/**
 * The first IPv4 network with an address in a node's `network_data`; null: there is none, addresses come by DHCP.
 * @throws InvalidParameterError for a document that is none, an address that is not complete, or a bond, which the ramdisk does not make.
 */
export function readFixedAddress(networkData: JsonObject): FixedAddress | null {
  const parsed = networkDataSchema.safeParse(networkData);
  if (!parsed.success) throw wrong('', `expected a document of the form of OpenStack's network_data.json: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`);
  const { networks, links } = parsed.data;
  const index = networks.findIndex(({ type, ip_address: address }) => type === 'ipv4' && address);
  const network = networks[index];
  if (!network) {
    if (networks.some(({ type, ip_address: address }) => type === 'ipv6' && address)) throw wrong('.networks', 'expected a network of the type "ipv4" with an ip_address; the ramdisk takes no other fixed address');
    return null;
  }
  const at = `.networks.${index}`;
  const [address = '', writtenPrefix] = (network.ip_address ?? '').split('/');
  if (!isIPv4(address)) throw wrong(`${at}.ip_address`, `expected an IPv4 address, with or without /PREFIX, found ${JSON.stringify(network.ip_address)}`);
  const prefixLength = prefixOf(writtenPrefix ?? network.netmask ?? '');
  if (prefixLength === null || prefixLength === 0) throw wrong(`${at}.netmask`, `expected a mask like 255.255.255.0 or 24, or ip_address as ADDRESS/PREFIX, found ${JSON.stringify(network.netmask ?? network.ip_address)}`);
  const gateway = network.routes.find((route) => isDefaultRoute(route))?.gateway ?? null;
  if (gateway !== null && !isIPv4(gateway)) throw wrong(`${at}.routes`, `expected an IPv4 address as the default route's gateway, found ${JSON.stringify(gateway)}`);
  return { address, prefixLength, gateway, ...linkOf(network.link ?? null, links, at) };
}

function linkOf(id: string | null, links: NetworkDocument['links'], at: string): Pick<FixedAddress, 'mac' | 'vlan'> {
  if (id === null) return { mac: null, vlan: null };
  const link = links.find((candidate) => candidate.id === id);
  if (!link) throw wrong(`${at}.link`, `there is no link with the id ${JSON.stringify(id)}`);
  if (link.type === 'bond') throw wrong(`${at}.link`, 'is a bond, which the ramdisk does not make: name one of its links, and let the switch fall back to single links');
  if (link.type !== 'vlan') return { mac: link.ethernet_mac_address?.toLowerCase() ?? null, vlan: null };
  const carrier = links.find((candidate) => candidate.id === link.vlan_link);
  if (!link.vlan_id || !carrier || carrier.type === 'bond' || carrier.type === 'vlan') throw wrong(`${at}.link`, `the VLAN ${JSON.stringify(id)} needs a vlan_id (1 to 4094) and, as vlan_link, the id of a link that is neither bond nor VLAN`);
  return { mac: (carrier.ethernet_mac_address ?? link.ethernet_mac_address)?.toLowerCase() ?? null, vlan: link.vlan_id };
}

function isDefaultRoute({ network, netmask }: { network: string; netmask?: string | number | null | undefined }): boolean {
  const [address = '', writtenPrefix] = network.split('/');
  return isIP(address) === 4 && address === '0.0.0.0' && prefixOf(writtenPrefix ?? netmask ?? '0') === 0;
}

/** `24` and `255.255.255.0` are 24; null: it is neither. */
function prefixOf(mask: string | number): number | null {
  const text = String(mask);
  if (/^\d{1,2}$/.test(text)) return Number(text) <= 32 ? Number(text) : null;
  if (!isIPv4(text)) return null;
  const bits = text.split('.').map((octet) => Number(octet).toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.replaceAll('0', '').length : null;
}

const wrong = (where: string, problem: string): InvalidParameterError => new InvalidParameterError(`network_data${where}: ${problem}`);
