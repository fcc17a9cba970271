import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { withDeadline } from '../../protocol/deadline.ts';
import { InvalidParameterError, TemporarilyUnavailableError, messageOf } from '../../protocol/errors.ts';

/** All addresses of a name. */
export type ResolveName = (name: string) => Promise<LookupAddress[]>;

/**
 * Addresses that no image lies at, and behind which other things would answer us as a caller on this machine. The
 * networks of RFC 1918 and fc00::/7 are not among them: that is where private clouds keep their images.
 */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  unspecified: ['0.0.0.0/8', '::/128'],
  loopback: ['127.0.0.0/8', '::1/128'],
  'IPv4-compatible': ['::/96'],
  'metadata service': ['169.254.169.254/32', '169.254.170.2/32', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32', 'fd00:ec2::254/128', 'fd20:ce::254/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  reserved: ['192.0.0.0/24', '240.0.0.0/4'],
  'site-local': ['fec0::/10'],
  // carry an IPv4 address too, elsewhere than at their end; no image needs them
  'local NAT64': ['64:ff9b:1::/48'],
  '6to4': ['2002::/16'],
  Teredo: ['2001::/32'],
};
/** Forms in which an IPv6 address carries an IPv4 one in its last 32 bits: mapped, translated (SIIT, RFC 2765), and NAT64. */
const EMBEDDING = networks(['::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96']);
/** The system's resolver may take as long as it likes, and cannot be stopped. */
const LOOKUP_TIMEOUT_MS = 30_000;

export interface AddressPolicyOptions {
  /** Default: the system's resolver. */
  resolveName?: ResolveName;
  /** Addresses of this machine, as they are now. Default: those of its network interfaces. */
  ownAddresses?: () => readonly string[];
  lookupTimeoutMs?: number;
}

/** Which addresses images may be fetched from. */
export class AddressPolicy {
  readonly #allowed: BlockList;
  readonly #forbidden = Object.entries(FORBIDDEN).map(([kind, list]) => ({ kind, networks: networks(list) }));
  readonly #resolve: ResolveName;
  readonly #ownAddresses: () => readonly string[];
  readonly #lookupTimeoutMs: number;

  /** @param allowedNetworks CIDR; what lies in them is allowed whatever it is. */
  constructor(allowedNetworks: readonly string[], options: AddressPolicyOptions = {}) {
    this.#allowed = networks(allowedNetworks);
    this.#resolve = options.resolveName ?? resolveName;
    this.#ownAddresses = options.ownAddresses ?? interfaceAddresses;
    this.#lookupTimeoutMs = options.lookupTimeoutMs ?? LOOKUP_TIMEOUT_MS;
  }

  /** What kind of address it is when nothing may be fetched from it, or null. */
  refusalOf(address: string): string | null {
    const plain = address.replace(/%.*$/, '');
    if (contains(this.#allowed, plain)) return null;
    const embedded = embeddedIPv4(plain);
    if (embedded !== null) return this.refusalOf(embedded);
    return this.#forbidden.find((one) => contains(one.networks, plain))?.kind ?? (this.#isOwn(plain) ? "conductor's own" : null);
  }

  /**
   * The addresses of a URL's host that may be connected to; to be handed to the connection itself, so that it goes to what
   * was checked here and not to what the name says a moment later.
   * @throws InvalidParameterError when there is no such host or none of its addresses is allowed; TemporarilyUnavailableError when it cannot be resolved now; the signal's reason.
   */
  async addressesOf(hostname: string, signal: AbortSignal): Promise<LookupAddress[]> {
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const family = isIP(host);
    const found = family === 0 ? await this.#resolved(host, signal) : [{ address: host, family }];
    const usable = found.filter(({ address }) => this.refusalOf(address) === null);
    if (usable.length > 0) return usable;
    const reasons = found.map(({ address }) => `${address} is a ${this.refusalOf(address)} address`);
    throw new InvalidParameterError(`No image is fetched from ${host}: ${reasons.join(', ')}. If images do lie there, add the network to deploy.allowed_networks.`, { host });
  }

  /** Services on this machine that listen on all its addresses would take us for one of its own. */
  #isOwn(address: string): boolean {
    const own = new BlockList();
    for (const one of this.#ownAddresses()) own.addAddress(one, isIPv4(one) ? 'ipv4' : 'ipv6');
    return contains(own, address);
  }

  async #resolved(host: string, signal: AbortSignal): Promise<LookupAddress[]> {
    try {
      return await withDeadline(this.#lookupTimeoutMs, [signal], (limited) => unlessAborted(this.#resolve(host), limited));
    } catch (error) {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') throw new InvalidParameterError(`No image is fetched from ${host}: there is no host of this name.`, { host }, error);
      throw new TemporarilyUnavailableError(`The host ${host} of an image cannot be resolved now: ${messageOf(error)}`, { host }, error);
    }
  }
}

/** Answers a connection's look-up with these addresses. */
export const pinned = (addresses: readonly LookupAddress[]): LookupFunction => (_hostname, options, callback) => {
  const [first] = addresses;
  if (options.all === true || first === undefined) callback(null, [...addresses]);
  else callback(null, first.address, first.family);
};

const resolveName: ResolveName = (name) =>
  new Promise((resolve, reject) => {
    dnsLookup(name, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
  });

const interfaceAddresses = (): string[] => Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));

/** What the work comes to, or the signal's reason if that is first; the work then goes on, and nobody hears of it. */
const unlessAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });

function networks(list: readonly string[]): BlockList {
  const networksListed = new BlockList();
  for (const cidr of list) {
    const [address = '', bits = ''] = cidr.split('/');
    networksListed.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6');
  }
  return networksListed;
}

const contains = (list: BlockList, address: string): boolean => list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');

/** The IPv4 address that is meant, or null. */
function embeddedIPv4(address: string): string | null {
  if (isIPv4(address) || !contains(EMBEDDING, address)) return null;
  // URL writes every form of an IPv6 address in one way, its last 32 bits as two groups.
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split(':');
  const bits = groups.slice(-2).map((group) => parseInt(group === '' ? '0' : group, 16));
  return bits.flatMap((group) => [group >> 8, group & 0xff]).join('.');
}
