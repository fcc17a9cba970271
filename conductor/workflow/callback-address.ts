import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';

/**
 * An agent is called back where it called from, or in networks that the configuration names: otherwise whoever sends a
 * heartbeat could have the conductor speak to any address. A name has to resolve to such addresses only.
 * @param peer address of the connection. @param networks CIDR.
 * @throws InvalidParameterError saying what was expected.
 */
export async function checkCallbackAddress(callbackUrl: string, peer: string, networks: readonly string[]): Promise<void> {
  const host = new URL(callbackUrl).hostname.replace(/^\[|\]$/g, '');
  const allowed = new BlockList();
  const caller = plainAddress(peer);
  if (isIP(caller)) allowed.addAddress(caller, familyOf(caller));
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/');
    allowed.addSubnet(address, Number(prefix), familyOf(address));
  }
  const addresses = isIP(host) ? [host] : await resolve(host, callbackUrl);
  const strange = addresses.map(plainAddress).filter((address) => !allowed.check(address, familyOf(address)));
  if (strange.length === 0) return;
  throw new InvalidParameterError(
    `callback_url: expected the address that the heartbeat came from (${caller})${networks.length === 0 ? '' : ` or one in ${networks.join(', ')}`}, found ${callbackUrl}${isIP(host) ? '' : `, which is ${strange.join(', ')}`}. For agents behind address translation name their network in provisioning.callback_networks.`,
  );
}

async function resolve(name: string, callbackUrl: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new InvalidParameterError(`callback_url: ${callbackUrl} names a host that can not be resolved here: ${messageOf(error)}`, {}, error);
  }
}

/** Without a zone; IPv4 in IPv6's clothes (as sockets that listen on both show it) as IPv4. */
export const plainAddress = (address: string): string => address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
