import { InvalidParameterError } from '../../../protocol/errors.ts';
import { failWhenOrdered, type FakeMachines } from '../fake-machines.ts';
import type { PowerDriver } from '../interfaces.ts';

/** Power of a machine that exists in memory only. Switching it on uses up a one-time boot device, as firmware does. */
export function createFakePower(machines: FakeMachines): PowerDriver {
  const driver: PowerDriver = {
    name: 'fake',
    imaginary: true,
    properties: { fake_power_fail: 'Message with which every power operation fails. Optional; to try out failures.' },

    async validate({ node }) {
      const fail = node.driverInfo['fake_power_fail'];
      if (fail !== undefined && typeof fail !== 'string') throw new InvalidParameterError(`driver_info.fake_power_fail: expected a message, found ${JSON.stringify(fail)}`);
    },

    async getPowerState(task) {
      failWhenOrdered(task, 'fake_power_fail');
      return machines(task).powerState;
    },

    async setPowerState(task, target) {
      failWhenOrdered(task, 'fake_power_fail');
      const machine = machines(task);
      const boots = machine.powerState === 'power off' && target === 'power on';
      machine.powerState = target;
      if (boots && machine.boot.persistent === false) machine.boot = { bootDevice: null, persistent: null };
    },

    async softPowerOff(task, timeoutMs) {
      await driver.setPowerState(task, 'power off', timeoutMs);
      return true;
    },
  };
  return driver;
}
