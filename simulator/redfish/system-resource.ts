import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { BOOT_MODES, BOOT_TARGETS, OVERRIDE_ENABLED } from '../boot-override.ts';
import { RESET_TYPES, type SimulatedMachine } from '../machine.ts';

export const systemPath = (id: string): string => `/redfish/v1/Systems/${id}`;
export const managerPath = (id: string): string => `/redfish/v1/Managers/${id}`;

/** A collection's document. */
export const collectionView = (path: string, type: string, members: readonly string[]): Record<string, unknown> => ({
  '@odata.type': `#${type}Collection.${type}Collection`,
  '@odata.id': path,
  Name: `${type} Collection`,
  Members: members.map((member) => ({ '@odata.id': member })),
  'Members@odata.count': members.length,
});

/** The ComputerSystem document (DMTF schema, the members that clients for provisioning read). */
export function systemView(machine: SimulatedMachine): Record<string, unknown> {
  const path = systemPath(machine.id);
  const { bootOverride } = machine;
  const resource = {
    '@odata.type': '#ComputerSystem.v1_20_0.ComputerSystem',
    '@odata.id': path,
    Id: machine.id,
    Name: machine.id,
    UUID: machine.uuid,
    SystemType: 'Physical',
    Manufacturer: 'Metalshot',
    Model: machine.config.vm ? 'Virtual machine' : 'Simulated machine',
    SerialNumber: machine.id,
    Status: { State: 'Enabled', Health: 'OK', HealthRollup: 'OK' },
    PowerState: machine.powerState,
    MemorySummary: { TotalSystemMemoryGiB: machine.config.vm ? machine.config.vm.memory_mb / 1024 : machine.config.memory_bytes / 1024 ** 3 },
    Boot: {
      BootSourceOverrideTarget: bootOverride.target,
      'BootSourceOverrideTarget@Redfish.AllowableValues': BOOT_TARGETS,
      BootSourceOverrideEnabled: bootOverride.enabled,
      'BootSourceOverrideEnabled@Redfish.AllowableValues': OVERRIDE_ENABLED,
      BootSourceOverrideMode: bootOverride.mode,
      'BootSourceOverrideMode@Redfish.AllowableValues': BOOT_MODES,
    },
    EthernetInterfaces: { '@odata.id': `${path}/EthernetInterfaces` },
    SimpleStorage: { '@odata.id': `${path}/SimpleStorage` },
    Links: { ManagedBy: [{ '@odata.id': managerPath(machine.id) }] },
    Actions: {
      '#ComputerSystem.Reset': { target: `${path}/Actions/ComputerSystem.Reset`, 'ResetType@Redfish.AllowableValues': RESET_TYPES },
      Oem: { '#Metalshot.SetFaults': { target: `${path}/Actions/Oem/Metalshot.SetFaults` } },
    },
    Oem: { Metalshot: { RunningFrom: machine.runningFrom, BootLog: machine.bootLog, RunDirectory: machine.directory, Faults: machine.faults } },
  };
  return { '@odata.etag': systemEtag(machine), ...resource };
}

/** Changes with what a PATCH can change and with the power state. */
export function systemEtag(machine: SimulatedMachine): string {
  const { target, enabled, mode } = machine.bootOverride;
  return `W/"${createHash('sha256').update(JSON.stringify([machine.powerState, target, enabled, mode])).digest('hex').slice(0, 16)}"`;
}

export function ethernetView(machine: SimulatedMachine, index: number): Record<string, unknown> | null {
  const mac = machine.config.macs[index];
  if (mac === undefined) return null;
  return {
    '@odata.type': '#EthernetInterface.v1_9_0.EthernetInterface',
    '@odata.id': `${systemPath(machine.id)}/EthernetInterfaces/NIC${index}`,
    Id: `NIC${index}`,
    Name: `Network interface ${index}`,
    MACAddress: mac,
    PermanentMACAddress: mac,
    Status: { State: 'Enabled', Health: 'OK' },
  };
}

export async function storageView(machine: SimulatedMachine): Promise<Record<string, unknown>> {
  const devices = await Promise.all(
    machine.config.disks.map(async (disk, index) => ({ Name: `disk${index}`, CapacityBytes: (await stat(disk.path)).size, Status: { State: 'Enabled', Health: 'OK' } })),
  );
  return { '@odata.type': '#SimpleStorage.v1_3_1.SimpleStorage', '@odata.id': `${systemPath(machine.id)}/SimpleStorage/1`, Id: '1', Name: 'Simulated disk controller', Devices: devices };
}

export function managerView(machine: SimulatedMachine): Record<string, unknown> {
  return {
    '@odata.type': '#Manager.v1_18_0.Manager',
    '@odata.id': managerPath(machine.id),
    Id: machine.id,
    Name: `BMC of ${machine.id}`,
    ManagerType: 'BMC',
    FirmwareVersion: '1.0',
    Status: { State: 'Enabled', Health: 'OK' },
    PowerState: 'On',
    VirtualMedia: { '@odata.id': `${managerPath(machine.id)}/VirtualMedia` },
    Links: { ManagerForServers: [{ '@odata.id': systemPath(machine.id) }] },
  };
}
