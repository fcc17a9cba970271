import { declaredBootMode } from '../boot-mode.ts';
import type { ManagementDriver } from '../interfaces.ts';
import { readRedfishAccess, REDFISH_PROPERTIES } from '../redfish-access.ts';
import { devicesOf, readOverride, writeOverride } from '../redfish-boot-override.ts';
import type { RedfishSystems } from '../redfish-systems.ts';

/** Boot device of a server by the Redfish service of its BMC. Some BMCs do not use up what is set for one boot: whoever depends on it sets it before every boot. */
export function createRedfishManagement(systems: RedfishSystems): ManagementDriver {
  return {
    name: 'redfish',
    properties: REDFISH_PROPERTIES,

    async validate({ node }) {
      await readRedfishAccess(node.driverInfo);
    },

    async supportedBootDevices(task) {
      return devicesOf(await systems.of(task), task.signal);
    },

    async getBootDevice(task) {
      return readOverride(await systems.of(task), task.signal);
    },

    async setBootDevice(task, device, persistent) {
      await writeOverride(await systems.of(task), { device, persistent, mode: declaredBootMode(task.node.properties) }, task);
    },
  };
}
