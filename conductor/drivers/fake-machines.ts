import { OperationFailedError } from '../../protocol/errors.ts';
import type { PowerState } from '../../protocol/provision.ts';
import type { BootDeviceSetting, DriverTask } from './interfaces.ts';

/** A machine that exists in this process's memory only. */
export interface FakeMachine {
  powerState: PowerState;
  boot: BootDeviceSetting;
}
export type FakeMachines = (task: DriverTask) => FakeMachine;

/** Machines by node: made when first asked for, with the power state that the node's record has (off when it has none). */
export function createFakeMachines(): FakeMachines {
  const machines = new Map<string, FakeMachine>();
  return ({ node }) => {
    let machine = machines.get(node.uuid);
    if (!machine) {
      machine = { powerState: node.powerState ?? 'power off', boot: { bootDevice: null, persistent: null } };
      machines.set(node.uuid, machine);
    }
    return machine;
  };
}

/** @throws OperationFailedError with the text of `driver_info[property]`, when it is set: a fault to order. */
export function failWhenOrdered({ node }: DriverTask, property: string): void {
  const message = node.driverInfo[property];
  if (typeof message === 'string' && message !== '') throw new OperationFailedError(message);
}
