import { join } from 'node:path';
import { bootMarker } from './own-system.ts';
import { closeProvisioningNetwork, openProvisioningNetwork, PROVISIONING } from './provisioning-network.ts';
import { SERVER, type DemoServer } from './server.ts';
import { buildSystemDisk } from './system-disk.ts';

export interface VirtualServerOptions {
  sizeBytes: number;
  firmware: 'bios' | 'uefi';
  /** Where `npm run ramdisk` has put what it boots. */
  ramdiskDirectory: string;
}

/** Of the plain demo's files; without KVM every one of them takes its time. */
const CONTENT_SHARE = 0.3;
const PATIENCE_S = 300;

/**
 * A virtual machine with a BMC and a network card and nothing of ours in it: it gets its address by DHCP, boots the ramdisk
 * with iPXE, and its own disk's boot loader and Linux afterwards. QEMU runs it without KVM, so slowly.
 */
export function virtualServer({ sizeBytes, firmware, ramdiskDirectory }: VirtualServerOptions): DemoServer {
  const { address, bridge, firstLease, lastLease } = PROVISIONING;
  return {
    description: `a virtual server (${firmware === 'bios' ? 'BIOS' : 'UEFI'}) that boots over the network`,
    buildDisk: (directory, signal) => buildSystemDisk(directory, { label: SERVER.id, kernel: join(ramdiskDirectory, 'vmlinuz'), sizeBytes, share: CONTENT_SHARE, signal }),
    async connect() {
      await openProvisioningNetwork();
      return closeProvisioningNetwork;
    },
    conductorConfig: {
      provisioning: { host: address },
      boot: { host: address, ramdisk_directory: ramdiskDirectory, dhcp: { interface: bridge, range: [firstLease, lastLease] } },
      conductor: { heartbeat_timeout_s: 30, check_interval_s: 2, callback_timeout_s: 900, soft_power_off_timeout_s: 120, power_timeout_s: 120 },
      snapshot: { poll_interval_s: 1 },
    },
    machine: (disk) => ({ id: SERVER.id, macs: [SERVER.mac], disks: [disk], vm: { firmware, network: { bridge } }, power: 'On' }),
    nodeArguments: ['--boot-interface', 'ipxe', '--property', 'cpu_arch=x86_64', '--property', `capabilities=boot_mode:${firmware}`],
    bootMarker: bootMarker(SERVER.id),
    patienceS: PATIENCE_S,
  };
}
