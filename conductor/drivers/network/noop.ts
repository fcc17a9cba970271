import type { NetworkDriver } from '../interfaces.ts';

/** A flat network: the machine reaches the conductor as it is connected, and nothing is switched for the ramdisk. */
export function createNoopNetwork(): NetworkDriver {
  return {
    name: 'noop',
    properties: {},
    async validate() {},
    async unconfigureTenantNetworks() {},
    async addProvisioningNetwork() {},
    async removeProvisioningNetwork() {},
    async configureTenantNetworks() {},
  };
}
