import type { InterfaceKind } from '../db/rows.ts';

/** What a hardware type offers for one kind of interface. */
export interface InterfaceOffer {
  enabled: string[];
  default: string;
}
export type HardwareType = Readonly<Record<InterfaceKind, Readonly<InterfaceOffer>>>;

/** `offer('a', 'b')`: both enabled, the first is the default. */
const offer = (preferred: string, ...others: string[]): InterfaceOffer => ({ enabled: [preferred, ...others], default: preferred });

/**
 * The hardware types, with the names and defaults that Ironic shows for them. Only power, management, boot, deploy,
 * network and snapshot do work; the other kinds are named so that clients of Ironic find every field that they expect.
 */
export const HARDWARE_TYPES: Readonly<Record<string, HardwareType>> = {
  'fake-hardware': {
    bios: offer('fake', 'no-bios'),
    boot: offer('fake'),
    console: offer('fake', 'no-console'),
    deploy: offer('fake', 'direct'),
    inspect: offer('fake', 'no-inspect'),
    management: offer('fake'),
    network: offer('noop'),
    power: offer('fake'),
    raid: offer('fake', 'no-raid'),
    rescue: offer('fake', 'no-rescue'),
    snapshot: offer('fake', 'no-snapshot', 'agent'),
    storage: offer('noop', 'fake'),
    vendor: offer('fake', 'no-vendor'),
  },
  ipmi: {
    bios: offer('no-bios'),
    boot: offer('ipxe', 'fake'),
    console: offer('no-console'),
    deploy: offer('direct', 'fake'),
    inspect: offer('no-inspect'),
    management: offer('ipmitool'),
    network: offer('noop', 'exec'),
    power: offer('ipmitool'),
    raid: offer('no-raid'),
    rescue: offer('no-rescue'),
    snapshot: offer('agent', 'no-snapshot'),
    storage: offer('noop'),
    vendor: offer('no-vendor'),
  },
  redfish: {
    bios: offer('no-bios'),
    boot: offer('ipxe', 'redfish-virtual-media', 'fake'),
    console: offer('no-console'),
    deploy: offer('direct', 'fake'),
    inspect: offer('no-inspect'),
    management: offer('redfish'),
    network: offer('noop', 'exec'),
    power: offer('redfish'),
    raid: offer('no-raid'),
    rescue: offer('no-rescue'),
    snapshot: offer('agent', 'no-snapshot'),
    storage: offer('noop'),
    vendor: offer('no-vendor'),
  },
};
