import { InvalidParameterError } from '../../../protocol/errors.ts';
import type { FakeMachines } from '../fake-machines.ts';
import type { BootDevice, ManagementDriver } from '../interfaces.ts';

const BOOT_DEVICES: readonly BootDevice[] = ['pxe', 'disk', 'cdrom', 'bios', 'safe'];

/** Boot device of a machine that exists in memory only. */
export function createFakeManagement(machines: FakeMachines): ManagementDriver {
  return {
    name: 'fake',
    properties: {},
    async validate() {}, // nothing is needed to reach memory
    async supportedBootDevices() {
      return [...BOOT_DEVICES];
    },
    async getBootDevice(task) {
      return { ...machines(task).boot };
    },
    async setBootDevice(task, device, persistent) {
      if (!BOOT_DEVICES.includes(device)) throw new InvalidParameterError(`Invalid boot device ${String(device)} specified; supported are ${BOOT_DEVICES.join(', ')}.`);
      machines(task).boot = { bootDevice: device, persistent };
    },
  };
}
