import type { NodeRow, PortRow } from '../db/rows.ts';

/** `driver_info` properties of every boot into the ramdisk, as `GET /v1/drivers/X/properties` shows them. */
export const RAMDISK_PROPERTIES: Readonly<Record<string, string>> = {
  provisioning_vlan: 'VLAN tag (1 to 4094) of the provisioning network on the interface that boots; the ramdisk sends and takes tagged frames. Optional.',
  kernel_append_params: 'Parameters for the kernel of the ramdisk, besides those of the configuration. Optional.',
};

/** A machine that is to boot the ramdisk; a driver's task is one. */
export interface BootMachine {
  readonly node: Readonly<NodeRow>;
  readonly ports: readonly PortRow[];
}

/** What machines boot the ramdisk from, as boot drivers see it; implemented by the room `netboot`. */
export interface BootFiles {
  /**
   * Whether there is what a boot into the ramdisk needs: the configuration, kernel and initramfs, boot loaders, and for an
   * ISO the program that makes it.
   * @throws InvalidParameterError naming what is missing and how it is provided.
   */
  check(medium: 'network' | 'iso'): Promise<void>;
  /**
   * Whether driver_info, network_data and ports of this machine make a kernel command line, and its firmware will start
   * what we have (Secure Boot).
   * @throws InvalidParameterError naming what is wrong.
   */
  checkMachine(machine: BootMachine, medium: 'network' | 'iso'): Promise<void>;
  /**
   * Makes the ISO from which this node boots its ramdisk, with the nonce on its kernel's command line, and returns the URL
   * at which its BMC finds it. One that was made for the node before is replaced.
   */
  provideIso(machine: BootMachine, nonce: string, signal: AbortSignal): Promise<string>;
  /** Whether this is the URL of an ISO of ours, or of another conductor like this one. */
  isIso(url: string): boolean;
  /** Nothing there: fine. */
  removeIso(nodeUuid: string): Promise<void>;
}
