import { InvalidParameterError, NotFoundError, UnsupportedInterfaceError } from '../../protocol/errors.ts';
import type { InterfaceKind, NodeRow } from '../db/rows.ts';
import type { BootFiles } from './boot-files.ts';
import { createFakeBoot } from './boot/fake.ts';
import { createIpxeBoot } from './boot/ipxe.ts';
import { createRedfishVirtualMediaBoot } from './boot/redfish-virtual-media.ts';
import { createFakeDeploy } from './deploy/fake.ts';
import type { DeployDriver } from './deployment.ts';
import { createFakeMachines } from './fake-machines.ts';
import { HARDWARE_TYPES, type HardwareType, type InterfaceOffer } from './hardware-types.ts';
import type { DriverSet, SnapshotDriver } from './interfaces.ts';
import { createIpmiBmcs, type IpmiOptions } from './ipmi-bmcs.ts';
import { createFakeManagement } from './management/fake.ts';
import { createIpmitoolManagement } from './management/ipmitool.ts';
import { createRedfishManagement } from './management/redfish.ts';
import { createExecNetwork, type NetworkCommand } from './network/exec.ts';
import { createNoopNetwork } from './network/noop.ts';
import { createFakePower } from './power/fake.ts';
import { createIpmitoolPower } from './power/ipmitool.ts';
import { createRedfishPower } from './power/redfish.ts';
import { createRedfishSystems, type RedfishOptions } from './redfish-systems.ts';
import { createFakeSnapshot } from './snapshot/fake.ts';
import { createNoSnapshot } from './snapshot/no-snapshot.ts';

export interface HardwareServices {
  /** The implementation of the snapshot interface `agent`. */
  agentSnapshot: SnapshotDriver;
  /** The implementation of the deploy interface `direct`. */
  directDeploy: DeployDriver;
  /** Deadlines and pauses towards BMCs; the defaults suit real ones. */
  redfish?: Partial<RedfishOptions>;
  ipmi?: Partial<IpmiOptions>;
  /** What machines boot the ramdisk from; absent: this conductor serves none. */
  bootFiles?: BootFiles;
  /** The program that switches networks, for the network interface `exec`; absent: none. */
  networkCommand?: NetworkCommand;
}

export interface HardwareRegistry {
  /** The enabled hardware types. */
  names(): string[];
  /** What a node of this hardware type can use, and gets when it names nothing. @throws NotFoundError */
  interfacesOf(hardwareType: string): Record<InterfaceKind, InterfaceOffer>;
  /** @throws UnsupportedInterfaceError naming what the node asks for and what is enabled; InvalidParameterError when its hardware type is not enabled. */
  driversFor(node: Pick<NodeRow, 'driver' | 'interfaces'>): DriverSet;
  /** The interfaces of a node that asks for `requested`: defaults filled in. @throws InvalidParameterError in Ironic's words. */
  resolveInterfaces(hardwareType: string, requested: Partial<Record<InterfaceKind, string>>, conductorGroup?: string): Record<InterfaceKind, string>;
  /** What `driver_info` may hold, by name. @throws NotFoundError */
  properties(hardwareType: string): Record<string, string>;
  /** Lets go of the BMCs (their sessions are ended). */
  close(): Promise<void>;
}

type Implementations = { [Kind in keyof DriverSet]: Readonly<Record<string, DriverSet[Kind]>> };

/**
 * Knows which hardware types are enabled and which implementations each offers.
 * @throws InvalidParameterError for a hardware type that does not exist.
 */
export function createHardwareRegistry({ enabled, services }: { enabled: readonly string[]; services: HardwareServices }): HardwareRegistry {
  const known = new Map(Object.entries(HARDWARE_TYPES));
  for (const name of enabled) {
    if (!known.has(name)) throw new InvalidParameterError(`enabled_hardware_types: "${name}" is not a hardware type; known are ${[...known.keys()].join(', ')}`);
  }
  const types = new Map([...known].filter(([name]) => enabled.includes(name)));
  const systems = createRedfishSystems(services.redfish);
  const bmcs = createIpmiBmcs(services.ipmi);
  const implementations = createImplementations(systems, bmcs, services);

  const existing = (name: string): HardwareType => {
    const type = types.get(name);
    if (!type) throw new NotFoundError(`Could not find the following driver(s) or hardware type(s): ${name}.`, { driver: name });
    return type;
  };
  const serving = (name: string, conductorGroup: string): HardwareType => {
    const type = types.get(name);
    if (!type) throw new InvalidParameterError(`No valid host was found. Reason: No conductor service registered which supports driver ${name} for conductor group "${conductorGroup}".`, { driver: name });
    return type;
  };

  return {
    names: () => [...types.keys()],
    interfacesOf: (hardwareType) => structuredClone(existing(hardwareType)),

    driversFor(node) {
      const type = serving(node.driver, '');
      const pick = <Kind extends keyof DriverSet>(kind: Kind): DriverSet[Kind] => {
        const value = node.interfaces[kind];
        const implementation = type[kind].enabled.includes(value) ? implementations[kind][value] : undefined;
        if (!implementation) throw new UnsupportedInterfaceError(`${kind} interface "${value}" is not available for hardware type ${node.driver}; enabled are ${type[kind].enabled.join(', ')}`, { kind, value, enabled: type[kind].enabled });
        return implementation;
      };
      return { power: pick('power'), management: pick('management'), boot: pick('boot'), deploy: pick('deploy'), network: pick('network'), snapshot: pick('snapshot') };
    },

    resolveInterfaces(hardwareType, requested, conductorGroup = '') {
      const type = serving(hardwareType, conductorGroup);
      const resolve = (kind: InterfaceKind): string => {
        const value = requested[kind] ?? type[kind].default;
        if (type[kind].enabled.includes(value)) return value;
        const valid = enabledAnywhere(types.values(), kind);
        if (valid.includes(value)) throw new InvalidParameterError(`${kind} interface implementation '${value}' is not supported by hardware type ${hardwareType}.`, { kind, value });
        throw new InvalidParameterError(`Could not find the following interface in the 'ironic.hardware.interfaces.${kind}' entrypoint: ${value}. Valid interfaces are [${valid.map((name) => `'${name}'`).join(', ')}].`, { kind, value, valid });
      };
      return Object.fromEntries(kindsOf(type).map((kind) => [kind, resolve(kind)])) as Record<InterfaceKind, string>;
    },

    properties(hardwareType) {
      const type = existing(hardwareType);
      const offered = (Object.keys(implementations) as (keyof DriverSet)[]).flatMap((kind) => type[kind].enabled.map((name) => implementations[kind][name]?.properties ?? {}));
      return Object.assign({}, ...offered) as Record<string, string>;
    },

    close: () => systems.close(),
  };
}

function createImplementations(systems: ReturnType<typeof createRedfishSystems>, bmcs: ReturnType<typeof createIpmiBmcs>, services: HardwareServices): Implementations {
  const machines = createFakeMachines();
  return {
    power: { fake: createFakePower(machines), ipmitool: createIpmitoolPower(bmcs), redfish: createRedfishPower(systems) },
    management: { fake: createFakeManagement(machines), ipmitool: createIpmitoolManagement(bmcs), redfish: createRedfishManagement(systems) },
    boot: { fake: createFakeBoot(), ipxe: createIpxeBoot(services.bootFiles ?? null), 'redfish-virtual-media': createRedfishVirtualMediaBoot(systems, services.bootFiles ?? null) },
    deploy: { fake: createFakeDeploy(), direct: services.directDeploy },
    network: { noop: createNoopNetwork(), exec: createExecNetwork(services.networkCommand ?? null) },
    snapshot: { 'no-snapshot': createNoSnapshot(), fake: createFakeSnapshot(), agent: services.agentSnapshot },
  };
}

const kindsOf = (type: HardwareType): InterfaceKind[] => Object.keys(type) as InterfaceKind[];
const enabledAnywhere = (types: Iterable<HardwareType>, kind: InterfaceKind): string[] => [...new Set([...types].flatMap((type) => type[kind].enabled))];
