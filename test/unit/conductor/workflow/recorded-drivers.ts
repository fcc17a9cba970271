import type { HardwareRegistry } from '../../../../conductor/drivers/hardware.ts';
import type { DriverSet } from '../../../../conductor/drivers/interfaces.ts';

/** What changes something, by interface. */
const CHANGES: Partial<Record<keyof DriverSet, readonly string[]>> = {
  power: ['setPowerState', 'softPowerOff'],
  management: ['setBootDevice'],
  boot: ['prepareRamdisk', 'cleanUpRamdisk'],
  network: ['unconfigureTenantNetworks', 'addProvisioningNetwork', 'removeProvisioningNetwork', 'configureTenantNetworks'],
};

export interface Recording {
  hardware: HardwareRegistry;
  /** Calls that change something, in order, with their plain arguments: `management.setBootDevice disk false`. */
  calls: string[];
  /** Called before each; what it throws, the driver throws. */
  before(call: string): Promise<void>;
}

/** The same drivers, with a record of what was asked of them. */
export function recordDrivers(hardware: HardwareRegistry): Recording {
  const recording: Recording = { hardware, calls: [], before: async () => undefined };
  const watch = <Driver extends object>(kind: keyof DriverSet, driver: Driver): Driver =>
    new Proxy(driver, {
      get(target, name, receiver) {
        const value: unknown = Reflect.get(target, name, receiver);
        const isNoted = typeof name === 'string' && (CHANGES[kind]?.includes(name) || name === 'getBootDevice');
        if (!isNoted || typeof value !== 'function') return value;
        return async (...args: unknown[]): Promise<unknown> => {
          const call = [`${kind}.${name}`, ...args.filter((arg) => typeof arg === 'string' || typeof arg === 'boolean')].join(' ');
          await recording.before(call);
          if (name !== 'getBootDevice') recording.calls.push(call);
          return (value as (...given: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  recording.hardware = {
    ...hardware,
    driversFor(node) {
      const { power, management, boot, deploy, network, snapshot } = hardware.driversFor(node);
      return { power: watch('power', power), management: watch('management', management), boot: watch('boot', boot), deploy, network: watch('network', network), snapshot };
    },
  };
  return recording;
}
