import { networkInterfaces } from 'node:os';
import { OperationFailedError } from '../protocol/errors.ts';
import { runProgram, SYSTEM_PATH } from '../protocol/program.ts';

/** The network in which virtual machines boot: a bridge in a network namespace that has nothing else. */
export const PROVISIONING = { bridge: 'br-metalshot', address: '10.77.0.1', prefix: 24, firstLease: '10.77.0.100', lastLease: '10.77.0.200', address6: 'fd77::1', prefix6: 64 } as const;
const IP_TIMEOUT_MS = 10_000;
/** Fixed, or it would change with every machine that comes and goes. */
const BRIDGE_MAC = '52:54:00:4d:00:01';

const ip = (...args: string[]): Promise<unknown> => runProgram('ip', args, { timeoutMs: IP_TIMEOUT_MS, env: { PATH: SYSTEM_PATH } });

/** @throws OperationFailedError where other network interfaces are up than loopback: the network of a host must not be touched. */
export async function openProvisioningNetwork(): Promise<void> {
  const others = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
  if (others.length > 0) throw new OperationFailedError(`Machines are booted in a network of their own only, where nothing but loopback is; found ${others.join(', ')}. "npm run demo -- --vm" and "npm run test:system" make one (unshare --net).`);
  const { bridge, address, prefix } = PROVISIONING;
  await ip('link', 'add', bridge, 'address', BRIDGE_MAC, 'type', 'bridge');
  await ip('address', 'add', `${address}/${prefix}`, 'dev', bridge);
  await addAddress6();
  await ip('link', 'set', bridge, 'up');
}

export async function closeProvisioningNetwork(): Promise<void> {
  await ip('link', 'delete', PROVISIONING.bridge);
}

/** Pulls the cable between the bridge and the conductor's side: machines hear nobody any more, and each other only. */
export async function unplugConductor(): Promise<void> {
  await ip('link', 'set', PROVISIONING.bridge, 'down');
}

export async function plugConductor(): Promise<void> {
  await ip('link', 'set', PROVISIONING.bridge, 'up');
  await addAddress6(); // the kernel drops IPv6 addresses with the link
}

async function addAddress6(): Promise<void> {
  const { bridge, address6, prefix6 } = PROVISIONING;
  await ip('address', 'replace', `${address6}/${prefix6}`, 'dev', bridge, 'nodad');
}
