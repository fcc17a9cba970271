import { InvalidParameterError, UnsupportedInterfaceError } from '../../../protocol/errors.ts';
import { BmcError } from '../bmc-error.ts';
import type { BootDevice, ManagementDriver } from '../interfaces.ts';
import { readRedfishAccess, REDFISH_PROPERTIES } from '../redfish-access.ts';
import type { RedfishSystems, SystemResource } from '../redfish-systems.ts';

/** Boot devices and their names in Redfish (ComputerSystem, BootSourceOverrideTarget); it has none for `safe`. */
const BOOT_SOURCES: Readonly<Partial<Record<BootDevice, string>>> = { pxe: 'Pxe', disk: 'Hdd', cdrom: 'Cd', bios: 'BiosSetup' };

/** Boot device of a server by the Redfish service of its BMC. Some BMCs ignore `Once`: whoever depends on it reads it back after the boot. */
export function createRedfishManagement(systems: RedfishSystems): ManagementDriver {
  return {
    name: 'redfish',
    properties: REDFISH_PROPERTIES,

    async validate({ node }) {
      await readRedfishAccess(node.driverInfo);
    },

    async supportedBootDevices(task) {
      const system = await systems.of(task);
      return supportedBy((await system.read(task.signal)).system);
    },

    async getBootDevice(task) {
      const system = await systems.of(task);
      const { Boot: boot } = (await system.read(task.signal)).system;
      const { BootSourceOverrideTarget: source, BootSourceOverrideEnabled: enabled } = boot ?? {};
      if (!source || source === 'None' || (enabled !== 'Once' && enabled !== 'Continuous')) return { bootDevice: null, persistent: null };
      return { bootDevice: deviceOf(source), persistent: enabled === 'Continuous' };
    },

    async setBootDevice(task, device, persistent) {
      const system = await systems.of(task);
      const enabled = persistent ? 'Continuous' : 'Once';
      let refusedTag: string | null = null;
      for (let mayBeStale = true; ; mayBeStale = false) {
        const { system: now, etag } = await system.read(task.signal);
        const tag: string | null = etag !== null && etag === refusedTag ? etag.replace(/^W\//, '') : etag; // some give a weak tag and take a strong one only
        const supported = supportedBy(now);
        if (!supported.includes(device)) throw new InvalidParameterError(`Invalid boot device ${device} specified; BMC ${system.origin} supports ${supported.join(', ') || 'none'}.`);
        const ways = now.Boot?.['BootSourceOverrideEnabled@Redfish.AllowableValues'];
        if (ways && !ways.includes(enabled)) throw new UnsupportedInterfaceError(`BMC ${system.origin} cannot set a boot device ${persistent ? 'for good' : 'for one boot'}: expected "${enabled}" among what it allows, found ${ways.join(', ')}`);
        try {
          await system.patch({ Boot: { BootSourceOverrideTarget: BOOT_SOURCES[device], BootSourceOverrideEnabled: enabled } }, tag, task.signal);
          return;
        } catch (error) {
          const changedMeanwhile = error instanceof BmcError && error.failure.status === 412;
          if (!changedMeanwhile || !mayBeStale) throw error;
          refusedTag = etag;
        }
      }
    },
  };
}

function supportedBy({ Boot: boot }: SystemResource): BootDevice[] {
  const sources = boot?.['BootSourceOverrideTarget@Redfish.AllowableValues'];
  return (Object.keys(BOOT_SOURCES) as BootDevice[]).filter((device) => !sources || sources.includes(BOOT_SOURCES[device] as string));
}

const deviceOf = (source: string): BootDevice | null => (Object.keys(BOOT_SOURCES) as BootDevice[]).find((device) => BOOT_SOURCES[device] === source) ?? null;
