import { describe, expect, test } from '@jest/globals';
import { networkInterfaces } from 'node:os';
import { AddressPolicy, pinned } from '../../../../conductor/images/address-policy.ts';

const unresolved = (name: string): never => {
  throw new Error(`${name} was resolved`);
};
const unaborted = new AbortController().signal;
const ownAddresses = (): string[] => ['198.51.100.9', '2001:db8:9::9'];
const policy = new AddressPolicy([], { resolveName: unresolved, ownAddresses });
const hostOf = (url: string): string => new URL(url).hostname;

describe('nothing is fetched from an address that is', () => {
  test.each([
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['loopback', '::1'],
    ['loopback', '::ffff:127.0.0.1'],
    ['loopback', '::ffff:7f00:1'],
    ['loopback', '64:ff9b::7f00:1'],
    ['unspecified', '0.0.0.0'],
    ['unspecified', '0.1.2.3'],
    ['unspecified', '::'],
    ['unspecified', '::ffff:0:0'],
    ['IPv4-compatible', '::127.0.0.1'],
    ['link-local', '169.254.1.1'],
    ['link-local', 'fe80::1'],
    ['link-local', 'fe80::1%eth0'],
    ['link-local', '::ffff:169.254.9.9'],
    ['metadata service', '169.254.169.254'],
    ['metadata service', '::ffff:169.254.169.254'],
    ['metadata service', '64:ff9b::a9fe:a9fe'],
    ['metadata service', 'fd00:ec2::254'],
    ['metadata service', '100.100.100.200'],
    ['multicast', '224.0.0.1'],
    ['multicast', '239.255.255.250'],
    ['multicast', 'ff02::1'],
    ['reserved', '255.255.255.255'],
    ['reserved', '240.0.0.1'],
    ['reserved', '192.0.0.1'],
    ['metadata service', '192.0.0.192'],
    ['loopback', '::ffff:0:7f00:1'],
    ['loopback', '::ffff:0:127.0.0.1'],
    ['metadata service', '::ffff:0:a9fe:a9fe'],
    ['site-local', 'fec0::1'],
    ['local NAT64', '64:ff9b:1::7f00:1'],
    ['6to4', '2002:7f00:1::'],
    ['Teredo', '2001::80ff:fffe'],
    ["conductor's own", '198.51.100.9'],
    ["conductor's own", '::ffff:198.51.100.9'],
    ["conductor's own", '64:ff9b::c633:6409'],
    ["conductor's own", '2001:db8:9::9'],
    ["conductor's own", '2001:db8:9:0:0::9'],
  ])('%s: %s', async (kind, address) => {
    expect(policy.refusalOf(address)).toBe(kind);
    if (!address.includes('%')) await expect(policy.addressesOf(address, unaborted)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining(`is a ${kind} address`) });
  });
});

test.each(['192.0.2.1', '10.0.0.1', '172.16.5.5', '192.168.1.1', '128.0.0.1', '2001:db8::1', 'fd12:3456::1', '::ffff:10.0.0.1', '64:ff9b::a00:1', '::ffff:0:10.0.0.1', '198.51.100.10', '2001:db8:9::8'])('%s may hold images', (address) => {
  expect(policy.refusalOf(address)).toBeNull();
});

test.each(['http://2130706433/', 'http://0x7f000001/', 'http://0177.0.0.1/', 'http://127.1/', 'http://0x7f.1/', 'http://0/', 'http://[::1]/', 'http://[::ffff:7f00:1]/', 'http://[0:0:0:0:0:ffff:127.0.0.1]/', 'http://127.0.0.1./', 'http://①②⑦.⓪.⓪.①/'])('%s is seen through', async (url) => {
  await expect(policy.addressesOf(hostOf(url), unaborted)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/is a (loopback|unspecified) address/) });
});

describe('names', () => {
  const resolving = (addresses: Record<string, string[]>, allowed: string[] = []): AddressPolicy =>
    new AddressPolicy(allowed, { resolveName: (name) => Promise.resolve((addresses[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))), ownAddresses });

  test('that resolve to nothing but such addresses are refused, each address named', async () => {
    await expect(resolving({ evil: ['127.0.0.1', '::1'] }).addressesOf('evil', unaborted)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('127.0.0.1 is a loopback address, ::1 is a loopback address') });
  });

  test('that resolve to others as well are reached by the others only', async () => {
    expect(await resolving({ both: ['127.0.0.1', '192.0.2.7'] }).addressesOf('both', unaborted)).toEqual([{ address: '192.0.2.7', family: 4 }]);
  });

  test("localhost is loopback by this machine's own resolver", async () => {
    await expect(new AddressPolicy([]).addressesOf('localhost', unaborted)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('loopback') });
  });

  test('that do not exist are refused for good, those that cannot be resolved now are not', async () => {
    const failing = (code: string): AddressPolicy => new AddressPolicy([], { resolveName: () => Promise.reject(Object.assign(new Error(code), { code })) });
    await expect(failing('ENOTFOUND').addressesOf('x', unaborted)).rejects.toMatchObject({ httpStatus: 400 });
    await expect(failing('EAI_AGAIN').addressesOf('x', unaborted)).rejects.toMatchObject({ httpStatus: 503 });
  });

  test('that nobody answers for are given up after a while, or at once when nobody wants the answer', async () => {
    const silent = new AddressPolicy([], { resolveName: () => new Promise(() => undefined), lookupTimeoutMs: 20 });
    await expect(silent.addressesOf('x', unaborted)).rejects.toMatchObject({ httpStatus: 503, message: expect.stringMatching(/cannot be resolved now: .*not within 0\.02 s/) });
    const patient = new AddressPolicy([], { resolveName: () => new Promise(() => undefined) });
    const stop = new AbortController();
    const asked = patient.addressesOf('x', stop.signal);
    stop.abort(new Error('the operator aborts'));
    await expect(asked).rejects.toThrow('the operator aborts');
    await expect(patient.addressesOf('x', stop.signal)).rejects.toThrow('the operator aborts');
  });

  test('allowed networks open what lies in them and nothing else', async () => {
    const opened = resolving({ mine: ['127.0.0.1'] }, ['127.0.0.0/8', 'fe80::/64']);
    expect(await opened.addressesOf('mine', unaborted)).toHaveLength(1);
    expect(['127.0.0.1', '::ffff:127.0.0.1', 'fe80::5', '::1', '169.254.169.254'].map((address) => opened.refusalOf(address))).toEqual([null, null, null, 'loopback', 'metadata service']);
    expect(new AddressPolicy(['0.0.0.0/0']).refusalOf('169.254.169.254')).toBeNull();
    expect(resolving({}, ['198.51.100.9/32', '2002::/16']).refusalOf('198.51.100.9')).toBeNull();
  });

  test("the conductor's own addresses are those of its interfaces", () => {
    const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []).map(({ address }) => address);
    expect(addresses.filter((address) => new AddressPolicy([]).refusalOf(address) === null)).toEqual([]);
    expect(addresses).not.toEqual([]);
  });
});

test('a connection is given the addresses that were checked, whatever its name says by then', () => {
  const given: unknown[] = [];
  const addresses = [{ address: '192.0.2.1', family: 4 }, { address: '2001:db8::1', family: 6 }];
  pinned(addresses)('rebound.example', { all: true }, (_error, found) => given.push(found));
  pinned(addresses)('rebound.example', {}, (_error, found, family) => given.push([found, family]));
  expect(given).toEqual([addresses, ['192.0.2.1', 4]]);
});
